//! get and list: answered from the store's memory, in the stored bytes.

use super::page::{self, Token};
use super::selection::Selection;
use super::stored;
use super::{Target, scale};
use crate::client::{Object, ObjectList};
use crate::errors;
use crate::options::{ListOptions, VersionMatch};
use crate::registry::SubresourceKind;
use crate::server::ApiServer;
use alcove_object::Status;
use alcove_object::field::{Error, Path};
use alcove_store::{Error as ReadError, Listing, Range};
use std::time::Duration;

/// How long a read waits for a resourceVersion that is not there yet, as upstream's watch cache does.
pub(crate) const FRESHNESS_WAIT: Duration = Duration::from_secs(3);

/// Reads a resourceVersion parameter: 0 for none and for `0`.
pub(crate) fn version(text: &str) -> Result<u64, Status> {
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| errors::bad_version(text)) }
}

impl ApiServer {
    /// One object, or its `status` or `scale`. `resource_version` as sent: empty or `0`, or the oldest acceptable.
    pub async fn get(&self, target: &Target, resource_version: &str) -> Result<Object, Status> {
        self.fresh(version(resource_version)?).await?;
        if let Some(entry) = self.store.get(&target.resource.table, &target.key()) {
            stored::warm(&target.resource, &[entry]).await?;
        }
        self.get_newest(target)
    }

    /// The newest state of one object.
    pub(crate) fn get_newest(&self, target: &Target) -> Result<Object, Status> {
        let resource = &target.resource;
        let entry = self.store.get(&resource.table, &target.key());
        let entry = entry.ok_or_else(|| errors::not_found(resource, &target.name))?;
        match target.subresource() {
            Some(sub) if sub.kind == SubresourceKind::Scale => {
                let scale = scale::of(&stored::tree(resource, &entry), &resource.scale, &sub.gvk);
                Ok(stored::unstored(entry.key.clone(), entry.revision, &scale))
            }
            _ => Ok(stored::present(resource, &entry)),
        }
    }

    /// Waits for a revision, 3 seconds at most, then 504.
    pub(crate) async fn fresh(&self, revision: u64) -> Result<(), Status> {
        if revision <= self.store.revision() || self.store.wait_for(revision, FRESHNESS_WAIT).await {
            return Ok(());
        }
        Err(errors::too_large_version(revision, self.store.revision()))
    }

    /// A page of objects.
    pub async fn list(&self, target: &Target, options: &ListOptions) -> Result<ObjectList, Status> {
        let plan = Plan::new(options)?;
        if let Some(revision) = plan.not_older_than {
            self.fresh(revision).await?;
        }
        let selection = Selection::new(target, options)?;
        self.warm_fields(&selection, plan.exactly).await?;
        let listing = self.listing(&selection, &plan)?;
        stored::warm(&target.resource, &listing.entries).await?;
        Ok(page_of(target, &plan, &selection, &listing))
    }

    /// Has what may be selected converted, where a webhook must before its fields can be read. A revision that is no
    /// longer there is for the list itself to refuse.
    pub(crate) async fn warm_fields(&self, selection: &Selection, at: Option<u64>) -> Result<(), Status> {
        if !selection.reads_converted() {
            return Ok(());
        }
        let range = Range { prefix: &selection.prefix, at, ..Range::default() };
        let resource = selection.resource();
        match self.store.list(&resource.table, &range, &|entry| selection.may_match(entry)) {
            Ok(listing) => stored::warm(resource, &listing.entries).await,
            Err(_) => Ok(()),
        }
    }

    /// The same without waiting for a revision: one in the future is a 504 at once.
    pub(crate) fn list_now(&self, target: &Target, options: &ListOptions) -> Result<ObjectList, Status> {
        let plan = Plan::new(options)?;
        match plan.not_older_than {
            Some(asked) if asked > self.store.revision() => {
                Err(errors::too_large_version(asked, self.store.revision()))
            }
            _ => {
                let selection = Selection::new(target, options)?;
                let listing = self.listing(&selection, &plan)?;
                Ok(page_of(target, &plan, &selection, &listing))
            }
        }
    }

    fn listing(&self, selection: &Selection, plan: &Plan) -> Result<Listing, Status> {
        let after = plan.after.as_ref().map(|after| selection.absolute(&page::TokenKey(after)));
        let range =
            Range { prefix: &selection.prefix, after: after.as_deref(), limit: plan.limit, at: plan.exactly };
        let table = &selection.resource().table;
        self.store.list(table, &range, &|entry| selection.matches(entry)).map_err(|e| {
            match (e, &plan.after) {
                (ReadError::Compacted { .. }, Some(after)) => page::expired(page::TokenKey(after)),
                _ => errors::read(e),
            }
        })
    }
}

/// What a listing shows.
fn page_of(target: &Target, plan: &Plan, selection: &Selection, listing: &Listing) -> ObjectList {
    let resource = &target.resource;
    let has_more = plan.limit > 0 && listing.entries.len() == plan.limit && listing.remaining > 0;
    let revision = plan.exactly.unwrap_or(listing.revision);
    let continue_token = match listing.entries.last() {
        Some(last) if has_more => Token::encode(plan.token_revision(revision), selection.relative(&last.key)),
        _ => String::new(),
    };
    ObjectList {
        revision,
        items: listing.entries.iter().map(|entry| stored::present(resource, entry)).collect(),
        continue_token,
        remaining: (has_more && selection.is_everything()).then_some(listing.remaining as u64),
    }
}

/// What a list's resourceVersion, match, limit and token come to.
struct Plan {
    /// Wait until the store is there.
    not_older_than: Option<u64>,
    /// Show the state at this revision.
    exactly: Option<u64>,
    /// Go on behind this key (without its prefix).
    after: Option<String>,
    /// Later pages show the newest state too.
    inconsistent: bool,
    limit: usize,
}

impl Plan {
    fn new(options: &ListOptions) -> Result<Plan, Status> {
        check(options)?;
        let asked = version(&options.resource_version)?;
        let newest = Plan {
            not_older_than: None,
            exactly: None,
            after: None,
            inconsistent: false,
            limit: options.limit,
        };
        if !options.continue_token.is_empty() {
            if asked != 0 {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let token = Token::decode(&options.continue_token)?;
            let inconsistent = token.revision.is_none();
            return Ok(Plan { exactly: token.revision, after: Some(token.after), inconsistent, ..newest });
        }
        Ok(match (asked, &options.version_match) {
            // `0` is served from what is there, whole: a limit does not count.
            (0, _) if !options.resource_version.is_empty() => Plan { limit: 0, ..newest },
            (0, _) => newest,
            (n, Some(VersionMatch::Exact)) => Plan { exactly: Some(n), ..newest },
            (n, None) if options.limit > 0 => Plan { exactly: Some(n), ..newest },
            (n, _) => Plan { not_older_than: Some(n), ..newest },
        })
    }

    fn token_revision(&self, shown: u64) -> Option<u64> {
        (!self.inconsistent).then_some(shown)
    }
}

/// 422 for combinations that make no sense (k8s.io/apimachinery/pkg/apis/meta/internalversion/validation).
fn check(options: &ListOptions) -> Result<(), Status> {
    let path = Path::new("resourceVersionMatch");
    let mut wrong = Vec::new();
    if let Some(how) = &options.version_match {
        if options.resource_version.is_empty() {
            wrong.push(Error::forbidden(
                &path,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !options.continue_token.is_empty() {
            wrong
                .push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if let VersionMatch::Unknown(word) = how {
            wrong.push(Error::not_supported(&path, word.as_str(), &["Exact", "NotOlderThan", ""]));
        }
        if *how == VersionMatch::Exact && options.resource_version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            wrong.push(Error::forbidden(&path, why));
        }
    }
    if options.send_initial_events.is_some() {
        let path = Path::new("sendInitialEvents");
        wrong.push(Error::forbidden(&path, "sendInitialEvents is forbidden for list"));
    }
    invalid_options(&wrong)
}

/// 422 about list options; `Ok` when nothing is wrong.
pub(crate) fn invalid_options(wrong: &[Error]) -> Result<(), Status> {
    if wrong.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "ListOptions", "", wrong)) }
}
