//! The one writer: a thread that takes transactions from a queue, gives revisions, makes whole groups durable with
//! one sync, and only then shows them, in revision order. It alone owns the medium, so that neither a commit nor a
//! checkpoint ever blocks a task, and a caller that goes away cannot tear a transaction.
//!
//! It also forgets: when history is older than it has to be, it compacts memory at once and the medium in small
//! steps between groups. While there is nothing to do and nothing to forget, it sleeps without a timer.

use crate::backend::Backend;
use crate::entry::Entry;
use crate::error::CommitError;
use crate::history::cost;
use crate::memory::Memory;
use crate::plan::{Plan, by_table};
use crate::store::{Config, Op};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Operations in one group at most, unless a single transaction has more. Bounds how long the first one waits.
const GROUP_OPS_MAX: usize = 1_024;
/// Bytes of new states in one group at most, unless a single transaction has more.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Groups between two steps of pruning while there is always something to write.
const GROUPS_PER_PRUNE: u32 = 16;
/// Time without a message after which more is not expected soon.
const PAUSE: Duration = Duration::from_millis(500);
/// Into how many pieces history's time is cut: what is kept is at most one piece too old.
const HISTORY_PIECES: u32 = 16;

/// Bytes of replaced and deleted states kept in all tables together, in memory and on the medium, whatever their age.
const HISTORY_BYTES_TOTAL_MAX: usize = 256 << 20;

/// What the writer is asked for.
pub(crate) enum Message {
    /// Do these operations.
    Commit(Request),
    /// Forget history below a revision.
    Compact(u64, oneshot::Sender<Result<(), CommitError>>),
    /// Finish.
    Close,
}

/// One transaction.
pub(crate) struct Request {
    pub(crate) ops: Vec<Op>,
    pub(crate) reply: oneshot::Sender<Result<Vec<Arc<Entry>>, CommitError>>,
    /// The room that the transaction takes in the queue.
    pub(crate) room: OwnedSemaphorePermit,
}

/// When a stretch of revisions was written: history is forgotten a whole stretch at a time.
struct Stretch {
    first_at: Instant,
    last_at: Instant,
    last: u64,
    /// What its history costs.
    bytes: usize,
}

pub(crate) struct Writer {
    memory: Arc<Memory>,
    backend: Box<dyn Backend>,
    history: Duration,
    history_bytes_max: usize,
    stretches: VecDeque<Stretch>,
    /// What the stretches cost together.
    history_bytes: usize,
    /// Something below the floor may be left in the medium.
    prunable: bool,
    groups_since_prune: u32,
}

/// Ends all watches however the writer ends.
struct Closing(Arc<Memory>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Writer {
    /// A writer over what was loaded. Loaded history counts as written now: nobody could read it meanwhile.
    pub(crate) fn new(memory: Arc<Memory>, backend: Box<dyn Backend>, config: &Config) -> Writer {
        let mut writer = Writer {
            memory,
            backend,
            history: config.history,
            history_bytes_max: config.history_bytes_max,
            stretches: VecDeque::new(),
            history_bytes: 0,
            prunable: true,
            groups_since_prune: 0,
        };
        if writer.memory.revision() > writer.memory.floor() {
            writer.remember(Instant::now(), 0);
        }
        writer
    }

    /// Works until it is told to close, or nobody is left who could ask.
    pub(crate) fn run(mut self, queue: &Receiver<Message>) {
        let closing = Closing(self.memory.clone());
        // What a group's collection took from the queue but is no commit.
        let mut put_back = None;
        loop {
            let message = match put_back.take() {
                Some(message) => Some(message),
                None => match self.wait(queue) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            match message {
                Some(Message::Commit(request)) => {
                    let (group, other) = collect(request, queue);
                    put_back = other;
                    self.commit(group);
                }
                Some(Message::Compact(floor, reply)) => {
                    let _ = reply.send(self.compact(floor));
                }
                Some(Message::Close) => break,
                None => {}
            }
            self.forget_old();
            self.prune_when_due();
            self.backend.tidy(false);
        }
        // The medium closes before anybody is told that it has.
        drop(self);
        drop(closing);
    }

    /// The next message; `Timeout` when there is other work to do.
    fn wait(&mut self, queue: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match queue.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        if self.prunable {
            self.groups_since_prune = GROUPS_PER_PRUNE;
            return Err(RecvTimeoutError::Timeout);
        }
        // Whoever comes meanwhile waits for the medium to be tidied, so that it takes a pause for that.
        if self.backend.is_untidy() {
            match queue.recv_timeout(PAUSE) {
                Err(RecvTimeoutError::Timeout) => self.backend.tidy(true),
                found => return found,
            }
        }
        match self.stretches.front() {
            Some(oldest) => {
                queue.recv_timeout((oldest.last_at + self.history).saturating_duration_since(Instant::now()))
            }
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn commit(&mut self, group: Vec<Request>) {
        let mut plan = Plan::new(&self.memory);
        let mut replies = Vec::with_capacity(group.len());
        for Request { ops, reply, room } in group {
            replies.push((reply, plan.add(ops), room));
        }
        let Plan { revision, changes, .. } = plan;
        if !changes.is_empty() {
            if let Err(detail) = self.backend.write(&changes) {
                tracing::error!(error = detail, transactions = replies.len(), "cannot write to the store");
                // Conflicts too were judged by states that never came to be.
                for (reply, ..) in replies {
                    let _ = reply.send(Err(CommitError::Medium(detail.clone())));
                }
                return;
            }
            let bytes = changes.iter().map(|planned| cost(&planned.change)).sum();
            let tables = by_table(changes);
            let mut changed = Vec::with_capacity(tables.len());
            for (table, changes) in tables {
                table.apply(changes, self.history_bytes_max);
                changed.push(table);
            }
            self.memory.publish(revision);
            for table in changed {
                table.changed.notify_waiters();
            }
            self.remember(Instant::now(), bytes);
            self.groups_since_prune += 1;
        }
        for (reply, outcome, room) in replies {
            let _ = reply.send(outcome);
            drop(room);
        }
    }

    /// Notes when the newest revision was written, and what history its group leaves.
    fn remember(&mut self, now: Instant, bytes: usize) {
        let last = self.memory.revision();
        let piece = self.history / HISTORY_PIECES;
        let piece_bytes = HISTORY_BYTES_TOTAL_MAX / HISTORY_PIECES as usize;
        self.history_bytes += bytes;
        match self.stretches.back_mut() {
            Some(stretch) if now.duration_since(stretch.first_at) < piece && stretch.bytes < piece_bytes => {
                stretch.last_at = now;
                stretch.last = last;
                stretch.bytes += bytes;
            }
            _ => self.stretches.push_back(Stretch { first_at: now, last_at: now, last, bytes }),
        }
    }

    /// Compacts what has been history for long enough, or is more than is kept of it.
    fn forget_old(&mut self) {
        let now = Instant::now();
        let mut left = self.history_bytes;
        let mut floor = None;
        for stretch in &self.stretches {
            if now.duration_since(stretch.last_at) < self.history && left <= HISTORY_BYTES_TOTAL_MAX {
                break;
            }
            left -= stretch.bytes;
            floor = Some(stretch.last);
        }
        if let Some(floor) = floor
            && let Err(error) = self.compact(floor)
        {
            tracing::warn!(%error, floor, "cannot compact the store's medium; it is tried again with newer history");
        }
    }

    /// Forgets history below a revision in memory, and says so durably. Freeing the medium follows in small steps.
    fn compact(&mut self, floor: u64) -> Result<(), CommitError> {
        let floor = floor.min(self.memory.revision());
        while let Some(stretch) = self.stretches.pop_front_if(|stretch| stretch.last <= floor) {
            self.history_bytes -= stretch.bytes;
        }
        if floor <= self.memory.floor() {
            return Ok(());
        }
        self.memory.compact(floor);
        self.backend.set_floor(floor).map_err(CommitError::Medium)?;
        self.prunable = true;
        Ok(())
    }

    fn prune_when_due(&mut self) {
        if !self.prunable || self.groups_since_prune < GROUPS_PER_PRUNE {
            return;
        }
        self.groups_since_prune = 0;
        self.prunable = self.backend.prune().unwrap_or_else(|error| {
            tracing::warn!(
                error,
                "cannot free what the store has forgotten; it is tried again after the next compaction"
            );
            false
        });
    }
}

/// Takes what waits in the queue, up to a group's limits, or up to what is no commit.
fn collect(first: Request, queue: &Receiver<Message>) -> (Vec<Request>, Option<Message>) {
    let mut ops = 0;
    let mut bytes = 0;
    let mut group = Vec::new();
    let mut next = first;
    loop {
        ops += next.ops.len();
        bytes += next.ops.iter().map(Op::bytes).sum::<usize>();
        group.push(next);
        if ops >= GROUP_OPS_MAX || bytes >= GROUP_BYTES_MAX {
            return (group, None);
        }
        match queue.try_recv() {
            Ok(Message::Commit(request)) => next = request,
            Ok(other) => return (group, Some(other)),
            Err(_) => return (group, None),
        }
    }
}
