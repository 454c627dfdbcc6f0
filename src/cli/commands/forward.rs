//! A port of this machine that leads to a tenant's pod, through the host's API server, and goes on leading there when the
//! pod is replaced.
//!
//! Every connection gets a port-forward of its own to the pod that is there now, so a new pod is nothing special: open
//! connections end with the old one, and the next connection waits until the new one is ready.

use super::Error;
use crate::host::{Change, Host, Only, kind};
use crate::tenants;
use alcove_object::condition;
use alcove_operator::provision::API_PORT;
use futures_util::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long a connection waits for a pod that can take it.
const POD_WAIT: Duration = Duration::from_secs(120);
/// How often a pod that is said to be ready but cannot be reached is asked again for one connection.
const TRIES_MAX: u32 = 5;
/// The pause between that.
const PAUSE: Duration = Duration::from_millis(500);

/// A forwarded port; it ends when this is dropped.
pub struct Forward {
    /// The port on 127.0.0.1.
    pub port: u16,
    _tasks: JoinSet<()>,
}

struct Target {
    host: Host,
    namespace: String,
    pod: String,
    lost: AtomicBool,
}

/// Forwards a port of 127.0.0.1: `wanted` if it is named, `liked` if that is free, or any.
pub async fn start(
    host: &Host,
    namespace: &str,
    name: &str,
    wanted: Option<u16>,
    liked: Option<u16>,
) -> Result<Forward, Error> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match (wanted, liked) {
        (Some(port), _) => bind(port).await.map_err(|source| Error::Listen { port, source })?,
        (None, Some(port)) => match bind(port).await {
            Ok(listener) => listener,
            Err(_) => bind(0).await.map_err(|source| Error::Listen { port: 0, source })?,
        },
        (None, None) => bind(0).await.map_err(|source| Error::Listen { port: 0, source })?,
    };
    let port = listener.local_addr().map_err(|source| Error::Listen { port: 0, source })?.port();
    let target = Target {
        host: host.clone(),
        namespace: namespace.to_owned(),
        pod: tenants::pod(name),
        lost: AtomicBool::new(false),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(listener, Arc::new(target)).boxed());
    Ok(Forward { port, _tasks: tasks })
}

async fn accept(listener: TcpListener, target: Arc<Target>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let target = target.clone();
                    connections.spawn(async move { target.carry(stream).await }.boxed());
                }
                // Too many open files, most likely: those that are open end at some time.
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Target {
    /// Carries one connection to its end.
    async fn carry(&self, mut client: TcpStream) {
        let Some(mut pod) = self.reach().await else {
            let _ = client.shutdown().await;
            return;
        };
        let _ = copy_bidirectional(&mut client, &mut pod).await;
    }

    /// A stream to the pod, as soon as there is one that is ready.
    async fn reach(&self) -> Option<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        for _ in 0..TRIES_MAX {
            let pods: Api<Pod> = Api::namespaced(self.host.client.clone(), &self.namespace);
            match pods.portforward(&self.pod, &[API_PORT]).await {
                Ok(mut forward) => {
                    if self.lost.swap(false, Ordering::Relaxed) {
                        eprintln!("  connected to {} again", self.pod);
                    }
                    return forward.take_stream(API_PORT);
                }
                Err(error) => {
                    if !self.lost.swap(true, Ordering::Relaxed) {
                        eprintln!("  {} cannot be reached now ({}); waiting for it", self.pod, short(&error));
                    }
                    self.wait_for_pod().await;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    async fn wait_for_pod(&self) {
        let only = Only::Named(self.pod.clone());
        let mut changes = self.host.follow(&kind("v1", "Pod"), &self.namespace, &only).boxed();
        let ready = async {
            while let Some(change) = changes.next().await {
                if let Change::Is(_, pod) = change
                    && !alcove_object::meta::is_deleting(&pod)
                    && condition::is_true(&pod, "Ready")
                {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(POD_WAIT, ready).await;
    }
}

fn short(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => crate::host::deepest(error),
    }
}
