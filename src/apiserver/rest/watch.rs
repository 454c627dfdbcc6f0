//! watch: a cursor over the store's history, filtered by a selection. No task and no buffer per
//! watcher: whoever asks for the next events does the work, and what waits is a position.

use super::selection::Selection;
use super::{Target, read, stored};
use crate::client::{Event, Object};
use crate::errors;
use crate::options::{ListOptions, VersionMatch};
use crate::registry::Resource;
use crate::server::ApiServer;
use alcove_object::Status;
use alcove_object::field::{Error, Path};
use alcove_store::{Change, ChangeKind, Entry, Range};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Events given at once at most: enough that handing over costs nothing, few enough that a slow reader holds little.
const BATCH_EVENTS: usize = 128;
/// How often an idle watch hears where the store is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A watch hears it once more this long before its end, so that its client resumes cheaply.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// A watch without a time limit gets a random one from this to twice this (kube-apiserver's --min-request-timeout).
const TIMEOUT_MIN_SECONDS: u64 = 1800;

/// A stream of events. Dropping it ends the watch.
pub struct Watch {
    resource: Arc<Resource>,
    selection: Selection,
    stage: Stage,
    feed: Option<alcove_store::Watch>,
    /// Taken from the feed and not told yet.
    pending: Vec<Arc<Change>>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
}

/// What a watch tells next.
enum Stage {
    /// The state at `revision`, then, when wanted, the bookmark that ends it.
    Initial { entries: std::vec::IntoIter<Arc<Entry>>, revision: u64, tell_end: bool },
    /// What happens.
    Live,
    /// Nothing but this error.
    Failed(Status),
    /// Nothing.
    Ended,
}

impl ApiServer {
    /// Events of a collection. Errors that upstream sends on the started stream come from the watch itself.
    pub async fn watch(&self, target: &Target, options: &ListOptions) -> Result<Watch, Status> {
        let plan = Plan::new(options)?;
        let mut fresh = match plan {
            Plan::FromState { at_least, .. } => self.fresh(at_least).await,
            Plan::After(_) | Plan::FromNow => Ok(()),
        };
        let selection = Selection::new(target, options)?;
        if matches!(plan, Plan::FromState { .. }) && fresh.is_ok() {
            fresh = self.warm_fields(&selection, None).await;
        }
        self.watch_planned(selection, options, plan, fresh)
    }

    /// The same without waiting for a revision.
    pub(crate) fn watch_now(&self, target: &Target, options: &ListOptions) -> Result<Watch, Status> {
        let plan = Plan::new(options)?;
        self.watch_planned(Selection::new(target, options)?, options, plan, Ok(()))
    }

    fn watch_planned(
        &self,
        selection: Selection,
        options: &ListOptions,
        plan: Plan,
        fresh: Result<(), Status>,
    ) -> Result<Watch, Status> {
        let resource = selection.resource().clone();
        let (stage, after) = match (fresh, plan) {
            (Err(status), _) => (Stage::Failed(status), 0),
            (Ok(()), Plan::After(revision)) => (Stage::Live, revision),
            (Ok(()), Plan::FromNow) => (Stage::Live, self.store.revision()),
            (Ok(()), Plan::FromState { tell_end, .. }) => {
                let range = Range { prefix: &selection.prefix, ..Range::default() };
                let all = self.store.list(&resource.table, &range, &|entry| selection.matches(entry));
                let all = all.map_err(errors::read)?;
                let revision = all.revision;
                (Stage::Initial { entries: all.entries.into_iter(), revision, tell_end }, revision)
            }
        };
        let (feed, stage) = match stage {
            Stage::Failed(_) => (None, stage),
            _ => match self.store.watch(&resource.table, after) {
                Ok(feed) => (Some(feed), stage),
                Err(e) => (None, Stage::Failed(errors::watch(e))),
            },
        };
        let seconds = match options.timeout_seconds {
            None | Some(0) => TIMEOUT_MIN_SECONDS + self.env.random() % TIMEOUT_MIN_SECONDS,
            Some(seconds) => u64::try_from(seconds).unwrap_or(0),
        };
        let now = Instant::now();
        let end = now + Duration::from_secs(seconds.min(u64::from(u32::MAX)));
        let mut watch = Watch {
            resource,
            selection,
            stage,
            feed,
            pending: Vec::new(),
            bookmarks: options.bookmarks,
            next_bookmark: end,
            end,
        };
        watch.plan_bookmark(now);
        Ok(watch)
    }
}

/// Where a watch begins.
enum Plan {
    /// With the state, at least as new as this.
    FromState { at_least: u64, tell_end: bool },
    /// With what happens after this revision.
    After(u64),
    /// With what happens from now on.
    FromNow,
}

impl Plan {
    fn new(options: &ListOptions) -> Result<Plan, Status> {
        check(options)?;
        let revision = read::version(&options.resource_version)?;
        // Without a version to start from, the state comes first and its end is marked, as if both had been asked for.
        let tell_end = options.bookmarks;
        Ok(match (options.send_initial_events, revision) {
            (Some(true), at_least) => Plan::FromState { at_least, tell_end },
            (None, 0) => Plan::FromState { at_least: 0, tell_end },
            (Some(false), 0) => Plan::FromNow,
            (_, revision) => Plan::After(revision),
        })
    }
}

/// 422 for combinations that make no sense (k8s.io/apimachinery/pkg/apis/meta/internalversion/validation).
fn check(options: &ListOptions) -> Result<(), Status> {
    let path = Path::new("resourceVersionMatch");
    let mut wrong = Vec::new();
    if options.send_initial_events.is_some() && options.version_match != Some(VersionMatch::NotOlderThan) {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        wrong.push(Error::forbidden(&path, why));
    }
    let is_from_state =
        options.send_initial_events.is_none() && matches!(&*options.resource_version, "" | "0");
    if is_from_state && options.version_match.is_none() && !options.continue_token.is_empty() {
        // What is put in where nothing is said goes with no token.
        wrong.push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
    }
    if let Some(how) = &options.version_match {
        if options.send_initial_events.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            wrong.push(Error::forbidden(&path, why));
        }
        let word = match how {
            VersionMatch::NotOlderThan => "",
            VersionMatch::Exact => "Exact",
            VersionMatch::Unknown(word) => word,
        };
        if !word.is_empty() {
            wrong.push(Error::not_supported(&path, word, &["NotOlderThan"]));
        }
        if !options.continue_token.is_empty() {
            wrong
                .push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
    }
    read::invalid_options(&wrong)
}

impl Watch {
    /// The kind of the objects that the watch tells of.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The next events, in revision order, as many as are there (never an empty list). `None`: the watch came to its
    /// time limit, its reader was too slow, or the server shuts down. An error ends the watch; 410 means: list again.
    /// Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Result<Vec<Event>, Status>> {
        loop {
            if !matches!(self.stage, Stage::Live) {
                if let Err(status) = self.warm_initial().await {
                    self.stage = Stage::Failed(status);
                }
                match self.initial()? {
                    Ok(events) if events.is_empty() => continue,
                    told => return Some(told),
                }
            }
            let wake = self.next_bookmark.min(self.end);
            if !self.pending.is_empty() {
                if let Err(status) = self.warm_pending().await {
                    let _ended = self.ended();
                    return Some(Err(status));
                }
                let changes = std::mem::take(&mut self.pending);
                let events: Vec<Event> = changes.iter().filter_map(|change| self.event(change)).collect();
                if !events.is_empty() {
                    return Some(Ok(events));
                }
            }
            let feed = self.feed.as_mut()?;
            match tokio::time::timeout_at(wake, feed.next(BATCH_EVENTS)).await {
                Ok(Some(Ok(changes))) => self.pending = changes,
                // What this reader would see next is gone, or the store is: its client resumes from what it saw last.
                Ok(Some(Err(_)) | None) => return self.ended(),
                Err(_) if Instant::now() >= self.end => return self.ended(),
                Err(_) => return self.bookmark(),
            }
        }
    }

    /// Has the next objects of the state converted, where a webhook does that.
    async fn warm_initial(&self) -> Result<(), Status> {
        match &self.stage {
            Stage::Initial { entries, .. } => {
                let next = entries.as_slice();
                stored::warm(&self.resource, &next[..next.len().min(BATCH_EVENTS)]).await
            }
            _ => Ok(()),
        }
    }

    /// The same for changes that were taken and not told yet.
    async fn warm_pending(&self) -> Result<(), Status> {
        if self.resource.custom.as_ref().is_none_or(|custom| custom.conversion.is_none()) {
            return Ok(());
        }
        let mut shown: Vec<Arc<Entry>> = Vec::new();
        for change in &self.pending {
            shown.push(change.entry().clone());
            shown.extend(change.old().map(|old| Arc::new(old.restamped(change.revision))));
        }
        stored::warm(&self.resource, &shown).await
    }

    /// The next events of a watch that is not live yet, or none left.
    fn initial(&mut self) -> Option<Result<Vec<Event>, Status>> {
        match &mut self.stage {
            Stage::Initial { entries, revision, tell_end } => {
                let events: Vec<Event> = entries
                    .take(BATCH_EVENTS)
                    .map(|e| Event::Added(stored::present(&self.resource, &e)))
                    .collect();
                if !events.is_empty() {
                    return Some(Ok(events));
                }
                let end = tell_end.then_some(Event::Bookmark { revision: *revision, initial_end: true });
                self.stage = Stage::Live;
                Some(Ok(end.into_iter().collect()))
            }
            Stage::Failed(_) => match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Failed(status) => Some(Err(status)),
                _ => None,
            },
            Stage::Live => Some(Ok(Vec::new())),
            Stage::Ended => None,
        }
    }

    fn ended(&mut self) -> Option<Result<Vec<Event>, Status>> {
        self.stage = Stage::Ended;
        self.feed = None;
        None
    }

    fn bookmark(&mut self) -> Option<Result<Vec<Event>, Status>> {
        self.plan_bookmark(Instant::now());
        let revision = self.feed.as_ref()?.position();
        Some(Ok(vec![Event::Bookmark { revision, initial_end: false }]))
    }

    /// When the next bookmark is due: in a minute, or shortly before the end, or never.
    fn plan_bookmark(&mut self, now: Instant) {
        let last = self.end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(now);
        let regular = now + BOOKMARK_EVERY;
        self.next_bookmark = match () {
            () if !self.bookmarks || now >= last => self.end,
            () => regular.min(last),
        };
    }

    /// What a change is to this watcher: an object that starts or stops matching comes and goes.
    fn event(&self, change: &Change) -> Option<Event> {
        let matches = |entry: &Entry| self.selection.matches(entry);
        // What was converted of the old state is what is shown of it.
        let matched = |old: &Entry| match self.selection.reads_converted() {
            true => matches(&old.restamped(change.revision)),
            false => matches(old),
        };
        let show = |entry: &Entry| -> Object { stored::present(&self.resource, entry) };
        match &change.kind {
            ChangeKind::Put { entry, old } => {
                match (matches(entry), old.as_deref().filter(|old| matched(old))) {
                    (true, Some(_)) => Some(Event::Modified(show(entry))),
                    (true, None) => Some(Event::Added(show(entry))),
                    (false, Some(old)) => Some(Event::Deleted(show(&old.restamped(change.revision)))),
                    (false, None) => None,
                }
            }
            ChangeKind::Delete { entry, old } => matched(old).then(|| Event::Deleted(show(entry))),
        }
    }
}
