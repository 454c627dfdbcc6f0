//! The sockets: one UDP socket and one TCP listener per address.

use crate::metrics::Metrics;
use crate::resolve::{Outcome, Resolver};
use crate::wire::{Transport, client};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A longer question over UDP is cut, and so malformed.
const REQUEST_BYTES_MAX: usize = 4_096;
/// Open TCP connections; further ones are closed at once.
pub const CONNECTIONS_MAX: usize = 256;
/// Of these, connections of one client.
pub const CONNECTIONS_PER_CLIENT_MAX: usize = 32;
/// A TCP connection that asks nothing, or does not take its answer, for so long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// After an error of a socket that has nothing to do with us, such as a lack of memory.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers questions that come in packets, until dropped.
pub async fn udp(socket: UdpSocket, resolver: Arc<Resolver>) {
    let socket = Arc::new(socket);
    let mut waiting = JoinSet::new();
    let mut packet = [0; REQUEST_BYTES_MAX];
    loop {
        let (length, from) = match socket.recv_from(&mut packet).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a packet was not received");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while waiting.try_join_next().is_some() {}
        match resolver.receive(&packet[..length], from.ip(), Transport::Udp) {
            Outcome::Drop => {}
            // A full socket means that the asker asks again, as with any packet that is lost.
            Outcome::Reply(reply) => drop(socket.try_send_to(&reply, from)),
            Outcome::Later(pending) => {
                let (socket, resolver) = (socket.clone(), resolver.clone());
                waiting.spawn(async move {
                    let reply = resolver.finish(pending).await;
                    if let Err(error) = socket.send_to(&reply, from).await {
                        tracing::debug!(%error, %from, "an answer was not sent");
                    }
                });
            }
        }
    }
}

/// Answers questions that come over connections, until dropped.
pub async fn tcp(listener: TcpListener, resolver: Arc<Resolver>) {
    let connections = Arc::new(Connections::default());
    let mut serving = JoinSet::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while serving.try_join_next().is_some() {}
        let Some(open) = connections.open(from, &resolver.metrics) else { continue };
        let resolver = resolver.clone();
        serving.spawn(async move {
            let _open = open;
            if let Err(error) = connection(stream, from.ip(), &resolver).await {
                tracing::debug!(%error, %from, "a connection ended");
            }
        });
    }
}

/// Answers one question after the other.
async fn connection(mut stream: TcpStream, from: IpAddr, resolver: &Resolver) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Ok(length) = timeout(IDLE, stream.read_u16()).await else { return Ok(()) };
        let length = match length {
            Ok(length) => usize::from(length),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        if length > REQUEST_BYTES_MAX {
            return Ok(());
        }
        let mut packet = vec![0; length];
        timeout(IDLE, stream.read_exact(&mut packet)).await??;
        let reply = match resolver.receive(&packet, from, Transport::Tcp) {
            Outcome::Drop => return Ok(()),
            Outcome::Reply(reply) => reply,
            Outcome::Later(pending) => resolver.finish(pending).await,
        };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        timeout(IDLE, stream.write_all(&[&length.to_be_bytes(), &reply[..]].concat())).await??;
    }
}

/// How many connections are open, and whose.
#[derive(Default)]
struct Connections {
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// An open connection; counted until dropped.
struct Open {
    connections: Arc<Connections>,
    client: IpAddr,
}

impl Connections {
    fn open(self: &Arc<Self>, from: SocketAddr, metrics: &Metrics) -> Option<Open> {
        let client = client(from.ip());
        let mut open = self.open.lock();
        let own = open.get(&client).copied().unwrap_or(0);
        if own >= CONNECTIONS_PER_CLIENT_MAX || open.values().sum::<usize>() >= CONNECTIONS_MAX {
            metrics.connections_rejected.fetch_add(1, Relaxed);
            return None;
        }
        open.insert(client, own + 1);
        Some(Open { connections: self.clone(), client })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}
