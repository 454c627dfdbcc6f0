//! What simulated pods have to say: nothing. Whoever asks for their logs or wants to run something in them learns why,
//! before any upgrade, instead of waiting for a kubelet that is not there.

use alcove_apiserver::rest::{Connection, Connector, HttpBody};
use alcove_object::Status;
use http::Response;
use std::future::{Future, ready};
use std::pin::Pin;

/// Answers exec, attach, port-forward, logs and the proxies of simulated pods and nodes: 400 with the reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence;

impl Connector for Silence {
    fn connect(
        &self,
        connection: Connection,
    ) -> Pin<Box<dyn Future<Output = Result<Response<HttpBody>, Status>> + Send + '_>> {
        let target = &connection.target;
        let why = why(&target.resource.gvr.resource, target.subresource_name(), &target.name);
        Box::pin(ready(Err(Status::bad_request(why))))
    }
}

fn why(resource: &str, subresource: &str, name: &str) -> String {
    let lacks = match subresource {
        "log" => "it has no logs",
        "proxy" | "portforward" => "nothing listens there",
        _ => "it has no processes",
    };
    match resource {
        "pods" => format!("pod {name} is on a simulated node, which runs no containers: {lacks}"),
        "services" => {
            format!("the pods of service {name} are on simulated nodes, which run no containers: {lacks}")
        }
        _ => format!("node {name} is simulated: {lacks}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_missing() {
        for (resource, subresource, said) in [
            ("pods", "log", "pod web is on a simulated node, which runs no containers: it has no logs"),
            ("pods", "exec", "pod web is on a simulated node, which runs no containers: it has no processes"),
            (
                "pods",
                "portforward",
                "pod web is on a simulated node, which runs no containers: nothing listens there",
            ),
            ("nodes", "proxy", "node web is simulated: nothing listens there"),
        ] {
            assert_eq!(why(resource, subresource, "web"), said);
        }
    }
}
