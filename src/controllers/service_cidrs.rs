//! ServiceCIDRs: each holds on to itself with a finalizer, says whether it is ready, and goes when no address needs it
//! any more (k8s.io/kubernetes/pkg/controller/servicecidrs).

use crate::runtime::{self, Failure, Key, Next, Reconciler, Source};
use alcove_apiserver::admission::AddressObjects;
use alcove_apiserver::options::{ListOptions, PatchType, WriteOptions};
use alcove_apiserver::{Client, Event, Object};
use alcove_object::selector::Labels;
use alcove_object::{Env, Gvr, Reason, Status, Value, condition, meta, settled, time};
use ipnet::IpNet;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const MANAGER: &str = "service-cidr-controller";
/// Whoever was just about to give an address of a block that goes has so long to finish.
const GRACE: Duration = Duration::from_secs(10);
const READY: &str = "Kubernetes Service CIDR is ready";
const IN_USE: &str =
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";

/// Keeps ServiceCIDRs.
pub struct ServiceCidrs {
    client: Client,
    env: Arc<dyn Env>,
}

impl ServiceCidrs {
    /// A controller that acts as this client's user.
    pub fn new(client: Client, env: Arc<dyn Env>) -> ServiceCidrs {
        ServiceCidrs { client, env }
    }

    /// Blocks; and blocks that go, whenever another block comes or an address goes.
    pub fn sources(self: &Arc<Self>) -> Vec<Source> {
        let (this, that) = (self.clone(), self.clone());
        let blocks = move |event: &Event, add: &mut dyn FnMut(Key)| {
            if let Event::Added(block) | Event::Modified(block) = event {
                add(block.key.clone());
            }
            this.going().for_each(add);
        };
        let addresses = move |event: &Event, add: &mut dyn FnMut(Key)| {
            if let Event::Deleted(_) = event {
                that.going().for_each(add);
            }
        };
        vec![
            Source::new(resource(), Box::new(blocks)),
            Source::new(addresses_resource(), Box::new(addresses)),
        ]
    }

    fn all(&self) -> Result<Vec<Object>, Status> {
        Ok(self.client.list(&resource(), "", &ListOptions::default())?.items)
    }

    /// Blocks whose deletion has begun.
    fn going(&self) -> impl Iterator<Item = Key> + use<> {
        let all = self.all().unwrap_or_default().into_iter();
        all.filter(|block| meta::is_deleting(&block.parse())).map(|block| block.key)
    }

    async fn welcome(&self, block: &Value) -> Result<Next, Failure> {
        if !meta::finalizers(block).any(|finalizer| finalizer == FINALIZER) {
            self.patch(block, json!({ "metadata": { "finalizers": [FINALIZER] } })).await?;
        }
        self.say(block, "True", "", READY).await?;
        Ok(Next::Done)
    }

    async fn see_off(&self, block: &Value) -> Result<Next, Failure> {
        if self.is_needed(block)? {
            self.say(block, "False", "Terminating", IN_USE).await?;
            return Ok(Next::Done);
        }
        let since = time::parse(meta::text(block, "deletionTimestamp")).unwrap_or(self.env.now());
        let age = Duration::try_from(self.env.now().duration_since(since)).unwrap_or_default();
        if age < GRACE {
            return Ok(Next::After(GRACE - age));
        }
        if meta::finalizers(block).any(|finalizer| finalizer == FINALIZER) {
            self.patch(block, json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": [FINALIZER] } }))
                .await?;
        }
        Ok(Next::Done)
    }

    /// Whether a service has an address that no other block has. A block that lies in others is not needed.
    fn is_needed(&self, block: &Value) -> Result<bool, Status> {
        let others: Vec<Value> = self.all()?.iter().map(Object::parse).collect();
        let others = others.iter().filter(|other| meta::name(other) != meta::name(block));
        let others: Vec<IpNet> = others.flat_map(blocks).collect();
        let own: Vec<IpNet> = blocks(block).collect();
        if own.iter().all(|block| others.iter().any(|other| other.contains(block))) {
            return Ok(false);
        }
        let of_services = format!("{}={}", AddressObjects::MANAGED_BY, AddressObjects::CONTROLLER);
        let labels = Labels::parse(&of_services).map_err(Status::internal)?;
        let options = ListOptions { labels, ..ListOptions::default() };
        let found = self.client.list(&addresses_resource(), "", &options)?;
        let has = |blocks: &[IpNet], ip: IpAddr| blocks.iter().any(|block| has_address(block, ip));
        let mut ips = found.items.iter().filter_map(|object| object.name().parse().ok());
        Ok(ips.any(|ip| has(&own, ip) && !has(&others, ip)))
    }

    async fn patch(&self, block: &Value, patch: Value) -> Result<(), Status> {
        let (name, options) = (meta::name(block), WriteOptions::default());
        let patched =
            self.client.patch(&resource(), "", "", name, PatchType::Strategic, patch, &options).await;
        settled(patched, &[Reason::NOT_FOUND])
    }

    async fn say(&self, block: &Value, status: &str, reason: &str, message: &str) -> Result<(), Status> {
        let is_said = |known: &Value| {
            known["status"] == status && known["reason"] == reason && known["message"] == message
        };
        if condition::find(block, "Ready").is_some_and(is_said) {
            return Ok(());
        }
        let apply = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": { "name": meta::name(block) },
            "status": { "conditions": [{
                "type": "Ready", "status": status, "reason": reason, "message": message,
                "lastTransitionTime": time::format(self.env.now()),
            }] },
        });
        let options = WriteOptions { field_manager: MANAGER.into(), force: true, ..WriteOptions::default() };
        let name = meta::name(block);
        let applied =
            self.client.patch(&resource(), "status", "", name, PatchType::Apply, apply, &options).await;
        settled(applied, &[Reason::NOT_FOUND])
    }
}

fn resource() -> Gvr {
    Gvr::new("networking.k8s.io", "v1", "servicecidrs")
}

fn addresses_resource() -> Gvr {
    Gvr::new("networking.k8s.io", "v1", "ipaddresses")
}

/// Whether an address of a block is one to give: the first of a block never is, nor is the last of IPv4.
fn has_address(block: &IpNet, ip: IpAddr) -> bool {
    block.contains(&ip) && ip != block.network() && !(ip.is_ipv4() && ip == block.broadcast())
}

fn blocks(object: &Value) -> impl Iterator<Item = IpNet> {
    let cidrs = object.pointer("/spec/cidrs").and_then(Value::as_array);
    cidrs.into_iter().flatten().filter_map(|cidr| cidr.as_str()?.parse().ok())
}

impl Reconciler for ServiceCidrs {
    fn name(&self) -> &'static str {
        "service-cidrs-controller"
    }

    fn workers(&self) -> usize {
        1
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Failure> {
        let (_, name) = runtime::split(key);
        let Some(block) = self.client.find(&resource(), "", name)? else { return Ok(Next::Done) };
        let block = block.parse();
        match meta::is_deleting(&block) {
            true => self.see_off(&block).await,
            false => self.welcome(&block).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, of};

    #[test]
    fn blocks_hold_addresses_and_blocks() {
        let net = |text: &str| text.parse::<IpNet>();
        let has = |block: &str, ip: &str| has_address(&net(block).unwrap(), ip.parse().unwrap());
        for (block, ip, expected) in [
            ("10.0.0.0/24", "10.0.0.1", true),
            ("10.0.0.0/24", "10.0.0.0", false),
            ("10.0.0.0/24", "10.0.0.255", false),
            ("10.0.0.0/24", "10.0.1.1", false),
            ("0.0.0.0/0", "9.9.9.9", true),
            ("fd00::/112", "fd00::ffff", true),
            ("fd00::/112", "fd00::", false),
            ("fd00::/112", "10.0.0.1", false),
            ("::/0", "fd00::1", true),
        ] {
            assert_eq!(has(block, ip), expected, "{block} {ip}");
        }
        let within = |a: &str, b: &str| net(a).unwrap().contains(&net(b).unwrap());
        assert!(within("10.0.0.0/8", "10.9.0.0/16") && !within("10.9.0.0/16", "10.0.0.0/8"));
        assert!(within("10.0.0.0/8", "10.0.0.0/8") && !within("0.0.0.0/0", "::/0"));
        assert!(net("10.0.0.0/33").is_err() && net("10.0.0.0").is_err());
    }

    fn block(name: &str, cidr: &str) -> Value {
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": { "name": name }, "spec": { "cidrs": [cidr] } })
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_that_is_needed_stays_until_another_has_its_addresses() {
        let world = World::new().await;
        let (blocks, addresses) = (of("networking.k8s.io", "servicecidrs"), addresses_resource());
        world.create(&blocks, block("a", "192.168.7.0/24")).await;
        let is_ready = |block: &Value, status: &str| block["status"]["conditions"][0]["status"] == status;
        let found = world.until(&blocks, |all| all.iter().any(|b| is_ready(b, "True"))).await;
        assert_eq!(found[0]["metadata"]["finalizers"], json!([FINALIZER]));
        assert_eq!(found[0]["status"]["conditions"][0]["message"], READY);

        let address = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": { "name": "192.168.7.9", "labels": {
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
                "ipaddress.kubernetes.io/ip-family": "IPv4",
            } },
            "spec": { "parentRef": { "resource": "services", "namespace": "default", "name": "a" } } });
        world.create(&addresses, address).await;
        world.client.delete(&blocks, "", "a", &Default::default()).await.unwrap();
        let found = world.until(&blocks, |all| is_ready(&all[0], "False")).await;
        assert_eq!(found[0]["status"]["conditions"][0]["reason"], "Terminating");

        world.env.advance(GRACE.as_secs() as i64);
        world.create(&blocks, block("b", "192.168.0.0/16")).await;
        let found = world.until(&blocks, |all| all.iter().all(|block| meta::name(block) == "b")).await;
        assert_eq!(found.len(), 1);
    }
}
