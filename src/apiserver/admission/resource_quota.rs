//! ResourceQuota: what a namespace may use in all (k8s.io/apiserver/pkg/admission/plugin/resourcequota).
//!
//! Upstream charges a quota first and stores the object after it, so that a write that fails, and a count that runs
//! meanwhile, leave a quota wrong for a while. Here both are one transaction: an object is stored together with the new
//! `status.used` of its quotas or not at all, so quotas are never exceeded and never charged for nothing. Writers of one
//! namespace take turns from the decision to the commit.

use super::{Admission, Admitting, Attributes, Charge, Charging, Edit};
use crate::quota::amounts::{self, Amounts};
use crate::quota::{Counted, Scope, counted};
use crate::request::Verb;
use alcove_object::gather::Gather;
use alcove_object::{Env, Gvr, Status, Value, meta};
use alcove_store::{Entry, Range, Store};
use jiff::Timestamp;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use tokio::sync::Mutex;

const TABLE: &str = "resourcequotas";
/// How many groups of namespaces there are that take turns among themselves.
const TURNS: usize = 64;

/// The admission step.
pub struct ResourceQuota {
    store: Store,
    env: Arc<dyn Env>,
    turns: [Arc<Mutex<()>>; TURNS],
    hasher: RandomState,
}

impl ResourceQuota {
    /// A step that keeps to the quotas in this store.
    pub fn new(store: Store, env: Arc<dyn Env>) -> ResourceQuota {
        let turns = std::array::from_fn(|_| Arc::default());
        ResourceQuota { store, env, turns, hasher: RandomState::new() }
    }

    /// The quotas of a namespace.
    fn quotas(&self, namespace: &str) -> Vec<(Arc<Entry>, Value)> {
        let prefix = format!("{namespace}/");
        let range = Range { prefix: &prefix, ..Range::default() };
        let entries = self.store.list(TABLE, &range, &|_| true).map(|listing| listing.entries);
        let tree = |entry: Arc<Entry>| serde_json::from_slice(&entry.json).ok().map(|quota| (entry, quota));
        entries.unwrap_or_default().into_iter().filter_map(tree).collect()
    }

    /// What the write changes of its namespace's quotas: each with what it would have used.
    fn decide(&self, attributes: &Attributes<'_>) -> Result<Vec<(Arc<Entry>, Value, Amounts)>, Status> {
        let gvr = &attributes.resource.gvr;
        let Some(counted) = handled(attributes) else { return Ok(Vec::new()) };
        let quotas = self.quotas(attributes.namespace);
        if quotas.is_empty() {
            return Ok(Vec::new());
        }
        let request = Request {
            counted,
            group: &gvr.group,
            resource: &gvr.resource,
            object: attributes.object,
            old: attributes.old,
            now: self.env.now(),
        };
        let mut charged = Vec::new();
        for (entry, quota) in quotas {
            let used = request.charge(&quota, attributes.subresource == "status");
            let used =
                used.map_err(|why| Status::forbidden(&gvr.group, &gvr.resource, attributes.name, &why))?;
            charged.extend(used.map(|used| (entry, quota, used)));
        }
        Ok(charged)
    }

    async fn take(&self, attributes: &Attributes<'_>) -> Result<Option<Charge>, Status> {
        if attributes.dry_run || self.decide(attributes)?.is_empty() {
            return Ok(None);
        }
        let turn = (self.hasher.hash_one(attributes.namespace) % TURNS as u64) as usize;
        let turn = self.turns[turn].clone().lock_owned().await;
        // Whoever had the turn before may have used up what was left.
        let edits = self.decide(attributes)?.into_iter().map(|(entry, mut quota, used)| {
            quota["status"]["used"] = amounts::write(&used);
            Edit {
                resource: Gvr::new("", "v1", "resourcequotas"),
                subresource: "status",
                entry: Some(entry),
                object: Some(quota),
            }
        });
        Ok(Some(Charge { edits: edits.collect(), turn: Some(turn) }))
    }
}

/// How the object of a write is counted, if the write can change what it uses.
fn handled(attributes: &Attributes<'_>) -> Option<Counted> {
    let gvr = &attributes.resource.gvr;
    if attributes.namespace.is_empty() || gvr.group.is_empty() && gvr.resource == "namespaces" {
        return None;
    }
    let is_stored = attributes.resource.verbs.has(Verb::List);
    let counted = counted(&gvr.group, &gvr.resource).filter(|_| is_stored)?;
    let changed = |pointer: &str| {
        attributes.old.is_some_and(|old| old.pointer(pointer) != attributes.object.pointer(pointer))
    };
    let is_handled = match (counted, attributes.verb, attributes.subresource) {
        (_, Verb::Create, "") => true,
        (Counted::Pods, Verb::Update, "") => changed("/spec/activeDeadlineSeconds"),
        (Counted::Pods, Verb::Update, "resize") => true,
        (Counted::Services | Counted::Claims, Verb::Update, "") => true,
        (Counted::Claims, Verb::Update, "status") => [
            "/status/allocatedResources",
            "/status/currentVolumeAttributesClassName",
            "/status/modifyVolumeStatus",
        ]
        .into_iter()
        .any(changed),
        _ => false,
    };
    is_handled.then_some(counted)
}

/// A write, as quotas see it.
struct Request<'a> {
    counted: Counted,
    group: &'a str,
    resource: &'a str,
    object: &'a Value,
    old: Option<&'a Value>,
    now: Timestamp,
}

impl Request<'_> {
    /// What a quota has used with this write; nothing if it is not about it. The error says why it does not fit.
    fn charge(&self, quota: &Value, is_status: bool) -> Result<Option<Amounts>, String> {
        let hard = amounts::read(quota.pointer("/status/hard"));
        let used = amounts::read(quota.pointer("/status/used"));
        let names: Vec<&str> = hard.keys().map(String::as_str).filter(|name| self.is_about(name)).collect();
        let scopes = Scope::of(quota);
        if names.is_empty() || !self.counted.is_in(&scopes, self.object) {
            return Ok(None);
        }
        let name = meta::name(quota);
        if let Some(why) = self.counted.unsaid(self.object, &names) {
            return Err(format!("failed quota: {name}: {why}"));
        }
        if names.iter().any(|name| !used.contains_key(*name)) {
            return Err(format!("status unknown for quota: {name}, resources: {}", names.join(",")));
        }
        let mut more = self.more(&scopes)?;
        more.retain(|name, _| hard.contains_key(name));
        if more.is_empty() {
            return Ok(None);
        }
        let mut sum = used.clone();
        amounts::add(&mut sum, &more);
        let exceeded: Vec<&String> = more.keys().filter(|name| sum[*name] > hard[*name]).collect();
        if exceeded.is_empty() || is_status {
            return Ok(Some(sum));
        }
        let show = |of: &Amounts| {
            let of = exceeded.iter().filter_map(|name| Some(((*name).clone(), of.get(*name)?.clone())));
            amounts::text(&of.gather())
        };
        let (requested, used, limited) = (show(&more), show(&used), show(&hard));
        Err(format!("exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"))
    }

    fn is_about(&self, name: &str) -> bool {
        self.counted.is_about(self.group, self.resource, name)
    }

    /// What the write uses beyond what the object used before, if it counted before.
    fn more(&self, scopes: &[Scope<'_>]) -> Result<Amounts, String> {
        let usage = |object: &Value| self.counted.usage(self.group, self.resource, object, self.now);
        let new = usage(self.object);
        let negative: Vec<&str> =
            new.iter().filter(|(_, amount)| amount.signum() < 0).map(|(name, _)| &**name).collect();
        if !negative.is_empty() {
            return Err(format!("quota usage is negative for resource(s): {}", negative.join(",")));
        }
        let before = match self.old {
            Some(old) if self.counted.is_in(scopes, old) => usage(old),
            _ => Amounts::new(),
        };
        Ok(amounts::increase(&before, &new))
    }
}

impl Admission for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    /// Refuses early what does not fit, before anything is taken from elsewhere for it.
    fn validate<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Admitting<'a> {
        Box::pin(std::future::ready(self.decide(attributes).map(drop)))
    }

    fn charge<'a>(&'a self, attributes: &'a mut Attributes<'_>) -> Charging<'a> {
        Box::pin(self.take(attributes))
    }
}
