//! A TCP proxy before the host, so that its clients lose it and find it again at the same address.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of connections and of what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// They carry what they are given.
    Open,
    /// They are taken and kept, and what they carry comes later.
    Still,
    /// They are cut, and new ones are refused.
    Shut,
}

/// Open, still or shut.
pub struct Proxy {
    pub address: SocketAddr,
    /// The state, and how often connections were cut.
    state: Arc<watch::Sender<(State, u64)>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub async fn start(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new((State::Open, 0)));
        let mut tasks = JoinSet::new();
        let followed = state.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let mut state = followed.subscribe();
                let (now, cut) = *state.borrow_and_update();
                if now == State::Shut {
                    continue;
                }
                connections.spawn(async move {
                    let Ok(far) = TcpStream::connect(to).await else { return };
                    let (from_near, to_near) = near.into_split();
                    let (from_far, to_far) = far.into_split();
                    let (up, down) = (state.clone(), state.clone());
                    tokio::select! {
                        _ = async { tokio::join!(carry(from_near, to_far, up), carry(from_far, to_near, down)) } => {}
                        _ = state.wait_for(|(_, cuts)| *cuts != cut) => {}
                    }
                });
            }
        });
        Proxy { address, state, _tasks: tasks }
    }

    /// Cuts all connections and refuses new ones.
    pub fn shut(&self) {
        self.state.send_modify(|(state, cuts)| (*state, *cuts) = (State::Shut, *cuts + 1));
    }

    /// Cuts all connections that are left and takes new ones.
    pub fn open(&self) {
        self.state.send_modify(|(state, cuts)| (*state, *cuts) = (State::Open, *cuts + 1));
    }

    /// Takes connections and keeps what they carry to itself from now on.
    pub fn hold(&self) {
        self.state.send_modify(|(state, _)| *state = State::Still);
    }

    /// Gives on what it kept, late, and all that follows.
    pub fn let_pass(&self) {
        self.state.send_modify(|(state, _)| *state = State::Open);
    }
}

/// Carries bytes one way, as long as nobody holds them up.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<(State, u64)>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let is_open = state.wait_for(|(state, _)| *state == State::Open).await.is_ok();
        if !is_open || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
