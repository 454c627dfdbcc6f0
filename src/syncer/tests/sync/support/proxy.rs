//! A TCP proxy before the host, so that its clients lose it and find it again at the same address.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Open or shut; a change cuts all connections.
pub struct Proxy {
    pub address: SocketAddr,
    is_open: Arc<watch::Sender<bool>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub async fn start(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_open = Arc::new(watch::Sender::new(true));
        let mut tasks = JoinSet::new();
        let state = is_open.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.subscribe();
                if !*state.borrow_and_update() {
                    continue;
                }
                connections.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.changed() => {}
                    }
                });
            }
        });
        Proxy { address, is_open, _tasks: tasks }
    }

    /// Cuts all connections and refuses new ones.
    pub fn shut(&self) {
        self.is_open.send_replace(false);
    }

    /// Cuts all connections that are left and takes new ones.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}
