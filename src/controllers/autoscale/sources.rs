//! Where metrics are read: from the three groups of metrics that other servers serve, and from `metrics.k8s.io` where it
//! is a custom resource (k8s.io/kubernetes/pkg/controller/podautoscaler/metrics/client.go).

use alcove_apiserver::aggregation::Place;
use alcove_apiserver::options::ListOptions;
use alcove_apiserver::{Client, Object, Server};
use alcove_object::selector::Labels;
use alcove_object::{Gvk, Gvr, Status, Value};

const RESOURCES: &str = "metrics.k8s.io";
const CUSTOM: &str = "custom.metrics.k8s.io";
const EXTERNAL: &str = "external.metrics.k8s.io";
/// Who serves the others serves them in this version.
const VERSION: &str = "v1beta1";
/// The versions of custom metrics that are understood. What is read of them is the same in both.
const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

/// The metrics of a namespace.
pub struct Sources<'a> {
    pub server: &'a Server,
    pub client: &'a Client,
    pub namespace: &'a str,
}

fn pod_metrics() -> Gvr {
    Gvr::new(RESOURCES, VERSION, "pods")
}

fn text<'a>(metric: &'a Value, pointer: &str) -> &'a str {
    metric.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The selector of a metric as clients write it. None selects everything; one that says nothing, nothing.
fn selector(metric: &Value) -> Result<String, String> {
    let labels = Labels::from_object(metric.get("selector").filter(|s| !s.is_null()));
    labels.map(|labels| labels.map(|l| l.to_string()).unwrap_or_default()).map_err(|error| error.to_string())
}

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().cloned().unwrap_or_default()
}

impl Sources<'_> {
    fn is_aggregated(&self, group: &str, version: &str) -> bool {
        let registry = self.server.registry();
        registry.remotes().iter().any(|remote| remote.group == group && remote.version == version)
    }

    fn custom_version(&self) -> Result<&'static str, String> {
        let registry = self.server.registry();
        let served = CUSTOM_VERSIONS.into_iter().filter_map(|version| {
            let mut of = registry.remotes().iter();
            let remote = of.find(|remote| remote.group == CUSTOM && remote.version == version)?;
            Some((remote.version_priority, version))
        });
        let preferred = served.rev().max_by_key(|(priority, _)| *priority);
        preferred
            .map(|(_, version)| version)
            .ok_or_else(|| format!("no custom metrics API ({CUSTOM}) registered"))
    }

    /// Whether anybody serves what a metric is read from, so that it may say something else the next time.
    pub fn is_served(&self, metric: &Value) -> bool {
        match text(metric, "/type") {
            "Resource" | "ContainerResource" => {
                self.server.registry().gvr(&pod_metrics()).is_some() || self.is_aggregated(RESOURCES, VERSION)
            }
            "Pods" | "Object" => self.custom_version().is_ok(),
            "External" => self.is_aggregated(EXTERNAL, VERSION),
            _ => false,
        }
    }

    /// PodMetrics of the pods with these labels, at least one. The error is upstream's.
    pub async fn of_resource(&self, resource: &str, labels: &Labels) -> Result<Vec<Value>, String> {
        let unread = |why: String| format!("unable to get metrics for resource {resource}: {why}");
        let found = self.pod_metrics(labels).await.map_err(|status| {
            unread(format!("unable to fetch metrics from resource metrics API: {}", status.message))
        })?;
        match found.is_empty() {
            true => Err(unread("no metrics returned from resource metrics API".to_owned())),
            false => Ok(found),
        }
    }

    async fn pod_metrics(&self, labels: &Labels) -> Result<Vec<Value>, Status> {
        if self.server.registry().gvr(&pod_metrics()).is_some() {
            let options = ListOptions { labels: labels.clone(), ..ListOptions::default() };
            let list = self.client.list(&pod_metrics(), self.namespace, &options)?;
            return Ok(list.items.iter().map(Object::parse).collect());
        }
        let query = [("labelSelector", labels.to_string())];
        let place = Place {
            group: RESOURCES,
            version: VERSION,
            namespace: self.namespace,
            resource: "pods",
            query: &query,
            ..Place::default()
        };
        self.client.read_aggregated(&place).await.map(|list| items(&list))
    }

    async fn custom(
        &self,
        resource: &str,
        name: &str,
        subresource: &str,
        query: &[(&str, String)],
    ) -> Result<Vec<Value>, String> {
        let version = self.custom_version()?;
        let place =
            Place { group: CUSTOM, version, namespace: self.namespace, resource, name, subresource, query };
        let list = self.client.read_aggregated(&place).await.map_err(|status| status.message.clone())?;
        Ok(items(&list))
    }

    /// What a metric of the kind `Pods` says of the pods with these labels, at least one. The error is upstream's.
    pub async fn of_pods(&self, metric: &Value, labels: &Labels) -> Result<Vec<Value>, String> {
        let name = text(metric, "/pods/metric/name");
        let unread = |why: String| format!("unable to get metric {name}: {why}");
        let query = [
            ("labelSelector", labels.to_string()),
            ("metricLabelSelector", selector(&metric["pods"]["metric"])?),
        ];
        let found = self.custom("pods", "*", name, &query).await;
        let found =
            found.map_err(|why| unread(format!("unable to fetch metrics from custom metrics API: {why}")))?;
        match found.is_empty() {
            true => Err(unread("no metrics returned from custom metrics API".to_owned())),
            false => Ok(found),
        }
    }

    /// What a metric of the kind `Object` says, as a quantity. The error is upstream's.
    pub async fn of_object(&self, metric: &Value) -> Result<Value, String> {
        let selector = selector(&metric["object"]["metric"])?;
        self.object(metric, selector).await.map_err(|why| {
            let (name, namespace) = (text(metric, "/object/metric/name"), self.namespace);
            let (kind, object) =
                (text(metric, "/object/describedObject/kind"), text(metric, "/object/describedObject/name"));
            format!(
                "unable to get metric {name}: {kind} on {namespace} {object}/unable to fetch metrics from custom \
                 metrics API: {why}"
            )
        })
    }

    async fn object(&self, metric: &Value, selector: String) -> Result<Value, String> {
        // Without a version, nobody asks what the kind is.
        self.custom_version()?;
        let (metric, object) = (text(metric, "/object/metric/name"), &metric["object"]["describedObject"]);
        let gvk = Gvk::from_api_version(text(object, "/apiVersion"), text(object, "/kind"));
        let query = [("metricLabelSelector", selector)];
        let mut found = match (&*gvk.group, &*gvk.kind) {
            // An autoscaler sees no namespace but its own.
            ("", "Namespace") => self.custom("metrics", metric, "", &query).await?,
            _ => self.custom(&self.resource(&gvk)?, text(object, "/name"), metric, &query).await?,
        };
        match (found.len(), found.pop()) {
            (1, Some(mut found)) => Ok(found["value"].take()),
            (count, _) => Err(format!(
                "the custom metrics API server returned {count} results when we asked for exactly one"
            )),
        }
    }

    /// The resource of a kind in any version, with its group.
    fn resource(&self, gvk: &Gvk) -> Result<String, String> {
        let registry = self.server.registry();
        let mut all = registry.resources().iter();
        let found = all.find(|r| r.gvk.group == gvk.group && r.gvk.kind == gvk.kind);
        let found =
            found.ok_or_else(|| format!("no matches for kind {:?} in group {:?}", gvk.kind, gvk.group))?;
        let dot = if gvk.group.is_empty() { "" } else { "." };
        Ok(format!("{}{dot}{}", found.gvr.resource, gvk.group))
    }

    /// What a metric of the kind `External` says: at least one quantity. The error is upstream's.
    pub async fn of_external(&self, metric: &Value) -> Result<Vec<Value>, String> {
        let metric = &metric["external"]["metric"];
        let (name, namespace) = (text(metric, "/name"), self.namespace);
        let unread = |why: String| {
            let selector = super::plan::in_go(&metric["selector"]);
            format!("unable to get external metric {namespace}/{name}/{selector}: {why}")
        };
        let query = [("labelSelector", selector(metric)?)];
        let place = Place {
            group: EXTERNAL,
            version: VERSION,
            namespace,
            resource: name,
            query: &query,
            ..Place::default()
        };
        let found = self.client.read_aggregated(&place).await.map_err(|status| {
            unread(format!("unable to fetch metrics from external metrics API: {}", status.message))
        })?;
        let values: Vec<Value> = items(&found).into_iter().map(|mut item| item["value"].take()).collect();
        match values.is_empty() {
            true => Err(unread("no metrics returned from external metrics API".to_owned())),
            false => Ok(values),
        }
    }
}
