//! What is asked of the host in place of what the client asked: path and query, made of the parts that we understand.

use super::terms::Terms;
use alcove_apiserver::http::request::Query;
use alcove_apiserver::kinds::CONTAINER_LISTS;
use alcove_apiserver::rest::Target;
use alcove_controllers::pods;
use alcove_object::{Reason, Status, Value, meta};
use http::Uri;

/// The kinds of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new process in a container.
    Exec,
    /// The streams of a container's own process.
    Attach,
    /// Ports of a pod.
    PortForward,
    /// What a container wrote.
    Log,
    /// HTTP to a pod or a service.
    Proxy,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What kind of connection.
    pub kind: Kind,
    /// Name of the pod or service.
    pub name: String,
    is_service: bool,
    /// Of proxies; empty unless named.
    scheme: String,
    /// Of proxies; empty unless named.
    port: String,
    /// Whether the client named the port in its path.
    has_port: bool,
    /// Of proxies, with its slash at the front.
    path: String,
    /// What passes of the query.
    query: String,
    /// The container, if the client named one.
    container: String,
}

impl Kind {
    /// What kind of connection a target takes. 403 for the nodes' proxy: nodes are the host's.
    pub fn of(target: &Target) -> Result<Kind, Status> {
        match (&*target.resource.gvr.resource, target.subresource_name()) {
            ("pods", "exec") => Ok(Kind::Exec),
            ("pods", "attach") => Ok(Kind::Attach),
            ("pods", "portforward") => Ok(Kind::PortForward),
            ("pods", "log") => Ok(Kind::Log),
            ("pods" | "services", "proxy") => Ok(Kind::Proxy),
            ("nodes", _) => {
                let why = "the kubelets of the host cluster serve other tenants too, and are not open to any";
                Err(Status::forbidden("", "nodes", &target.name, why))
            }
            _ => Err(Status::no_such_resource()),
        }
    }

    /// Whether it is nothing without another protocol.
    pub fn needs_upgrade(self) -> bool {
        matches!(self, Kind::Exec | Kind::Attach | Kind::PortForward)
    }

    /// The parameters that pass, but for the container. How the host verifies its kubelets
    /// (`insecureSkipTLSVerifyBackend`) is not a tenant's to say.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Kind::Exec => &["stdin", "stdout", "stderr", "tty", "command"],
            Kind::Attach => &["stdin", "stdout", "stderr", "tty"],
            Kind::PortForward => &["ports"],
            Kind::Log => &[
                "follow",
                "previous",
                "sinceSeconds",
                "sinceTime",
                "timestamps",
                "tailLines",
                "limitBytes",
                "stream",
            ],
            Kind::Proxy => &[],
        }
    }

    fn subresource(self) -> &'static str {
        match self {
            Kind::Exec => "exec",
            Kind::Attach => "attach",
            Kind::PortForward => "portforward",
            Kind::Log => "log",
            Kind::Proxy => "proxy",
        }
    }

    /// Reads a request. 400 for a name, a path or parameters that are none.
    pub fn ask(self, target: &Target, tail: &str, query: &str) -> Result<Ask, Status> {
        let is_service = target.resource.gvr.resource == "services";
        let container = Query::parse(query).get("container").unwrap_or_default().to_owned();
        let mut ask = Ask {
            kind: self,
            name: target.name.clone(),
            is_service,
            scheme: String::new(),
            port: String::new(),
            has_port: false,
            path: String::new(),
            query: query.to_owned(),
            container,
        };
        if self == Kind::Proxy {
            ask.read_proxy(target, tail)?;
        } else {
            let pairs = query.split('&').filter(|pair| {
                let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
                self.parameters().contains(&key)
            });
            ask.query = pairs.collect::<Vec<_>>().join("&");
        }
        Ok(ask)
    }
}

impl Ask {
    /// `[scheme:]name[:port]`, and the path behind it.
    fn read_proxy(&mut self, target: &Target, tail: &str) -> Result<(), Status> {
        let invalid = || {
            let what = if self.is_service { "service" } else { "pod" };
            Status::bad_request(format!("invalid {what} request {:?}", target.name))
        };
        let parts: Vec<&str> = target.name.split(':').collect();
        let (scheme, name, port) = match *parts {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => return Err(invalid()),
        };
        if !matches!(scheme, "" | "http" | "https") || name.is_empty() || !is_port(port) {
            return Err(invalid());
        }
        // Whatever stands between us and the host must not find a way up in the path.
        if tail.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(Status::bad_request("a path through a proxy must not have segments of dots alone"));
        }
        (self.has_port, self.scheme, self.port) = (parts.len() > 1, scheme.to_owned(), port.to_owned());
        self.name = name.to_owned();
        // The empty path is told from the slash: the host redirects from one to the other, as upstream.
        self.path = match tail {
            "" | "/" => tail.to_owned(),
            _ => format!("/{tail}"),
        };
        Ok(())
    }

    /// The host's query for this object of the tenant; `None` for the logs of a pod that is on no node yet. 400 with
    /// upstream's text (k8s.io/kubernetes/pkg/registry/core/pod/strategy.go) for a container that is not the pod's.
    pub fn of(&self, object: &Value) -> Result<Option<String>, Status> {
        if self.is_service {
            return has_selector(object).map(|()| Some(self.query.clone()));
        }
        let name = meta::name(object);
        let is_bound = pods::node(object).is_some();
        let container = match self.kind {
            // Upstream looks at it for port-forward too, which has none in its options.
            Kind::Proxy | Kind::PortForward => None,
            _ => Some(container(object, &self.container)?),
        };
        match self.kind {
            Kind::Proxy => Ok(Some(self.query.clone())),
            Kind::Log if !is_bound => Ok(None),
            _ if !is_bound => Err(Status::bad_request(format!("pod {name} does not have a host assigned"))),
            _ => {
                let container = container.map(|container| format!("container={}", escape(&container, false)));
                let parts = [container.unwrap_or_default(), self.query.clone()];
                Ok(Some(parts.iter().filter(|p| !p.is_empty()).cloned().collect::<Vec<_>>().join("&")))
            }
        }
    }

    /// Where that is on the host. 400 when it does not fit into a URL.
    pub fn uri(&self, terms: &Terms, object: &Value, query: &str) -> Result<Uri, Status> {
        let mut uri = self.base(&terms.host_namespace, &terms.host_name, &self.host_port(object));
        uri.push_str(&escape(&self.path, true));
        if !query.is_empty() {
            uri.push('?');
            uri.push_str(query);
        }
        uri.parse()
            .map_err(|_| Status::bad_request("the path or the query of this request is no part of a URL"))
    }

    /// Paths up to the proxy's own: the host's, and the tenant's in its place.
    pub fn bases(&self, terms: &Terms, object: &Value) -> (String, String) {
        let port = if self.has_port { self.port.clone() } else { String::new() };
        (
            self.base(&terms.host_namespace, &terms.host_name, &self.host_port(object)),
            self.base(meta::namespace(object), &self.name, &port),
        )
    }

    fn base(&self, namespace: &str, name: &str, port: &str) -> String {
        let resource = if self.is_service { "services" } else { "pods" };
        let id = match (&*self.scheme, port) {
            ("", "") => name.to_owned(),
            ("", port) => format!("{name}:{port}"),
            (scheme, port) => format!("{scheme}:{name}:{port}"),
        };
        format!("/api/v1/namespaces/{namespace}/{resource}/{id}/{}", self.kind.subresource())
    }

    /// The pod's first port unless one is named: the first of the host's pod may be that of a container which was put
    /// beside the tenant's.
    fn host_port(&self, object: &Value) -> String {
        if !self.port.is_empty() || self.is_service || self.kind != Kind::Proxy {
            return self.port.clone();
        }
        let first =
            containers(object, &["containers"]).find_map(|c| c.pointer("/ports/0/containerPort")?.as_u64());
        first.map(|port| port.to_string()).unwrap_or_default()
    }
}

/// A number, a name, or nothing.
fn is_port(port: &str) -> bool {
    port.len() <= 15 && port.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The host would dial whatever address such a service's endpoints name, past every network policy.
fn has_selector(service: &Value) -> Result<(), Status> {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    if selector.is_some_and(|selector| !selector.is_empty()) {
        return Ok(());
    }
    let why = "the host cluster proxies only to services that select pods of this cluster";
    Err(Status::forbidden("", "services", meta::name(service), why))
}

fn containers<'a>(pod: &'a Value, lists: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    lists.iter().filter_map(|list| pod["spec"].get(list)?.as_array()).flatten()
}

fn container(pod: &Value, named: &str) -> Result<String, Status> {
    let names = |lists: &'static [&'static str]| -> Vec<String> {
        let names = containers(pod, lists).filter_map(|c| c["name"].as_str());
        names.map(str::to_owned).collect()
    };
    let all = || names(&CONTAINER_LISTS);
    let pod_name = meta::name(pod);
    if !named.is_empty() {
        return match all().iter().any(|name| name == named) {
            true => Ok(named.to_owned()),
            false => Err(Status::bad_request(format!("container {named} is not valid for pod {pod_name}"))),
        };
    }
    match &mut *names(&["containers"]) {
        [only] => Ok(std::mem::take(only)),
        _ => Err(Status::new(
            400,
            Reason::BAD_REQUEST,
            format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                all().join(" ")
            ),
        )),
    }
}

/// Percent signs for every byte that is not plain. `is_path` keeps what paths may hold.
fn escape(text: &str, is_path: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || is_path && b"/:@!$&'()*+,;=".contains(&byte);
        if is_plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
