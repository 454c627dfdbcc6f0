//! The parameters of operations.

use serde_json::{Value, json};

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub kind: &'static str,
    pub description: String,
}

/// Query parameters: name, type, and what each is for.
type Table = &'static [(&'static str, &'static str, &'static str)];

/// On every operation of a resource.
pub(super) const PRETTY: Table = &[("pretty", "string", "Whether the answer is indented.")];

/// On create, update and patch.
pub(super) const WRITE: Table = &[
    ("dryRun", "string", "With the value All, everything is done but nothing is stored."),
    ("fieldManager", "string", "Who makes the change: at most 128 printable characters."),
    (
        "fieldValidation",
        "string",
        "What happens to unknown and duplicate fields: Ignore drops them, Warn drops them with a warning (the \
         default), Strict fails the request.",
    ),
];

/// On patch, beside those of a write.
pub(super) const FORCE: Table =
    &[("force", "boolean", "For apply patches: take over fields that other managers own.")];

/// On list and watch, and on deletecollection except for the last two.
pub(super) const LIST: Table = &[
    ("continue", "string", "The token of the list before, to get what comes after it."),
    ("fieldSelector", "string", "Only objects with these field values."),
    ("labelSelector", "string", "Only objects with these labels."),
    ("limit", "integer", "How many objects are returned at most; a token tells how to get more."),
    ("resourceVersion", "string", "From which version on the answer may be served."),
    ("resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan."),
    (
        "sendInitialEvents",
        "boolean",
        "For watches: start with the objects there are, then a bookmark with the annotation \
         k8s.io/initial-events-end. Needs resourceVersionMatch=NotOlderThan.",
    ),
    ("timeoutSeconds", "integer", "When a list or watch ends, whatever happens."),
    ("allowWatchBookmarks", "boolean", "For watches: send bookmark events now and then."),
    ("watch", "boolean", "Stream changes instead of listing."),
];

/// How many of [`LIST`] a deletecollection takes.
pub(super) const DELETE_COLLECTION: usize = 8;

/// On delete and deletecollection.
pub(super) const DELETE: Table = &[
    ("dryRun", "string", "With the value All, everything is done but nothing is deleted."),
    ("gracePeriodSeconds", "integer", "Time that the object gets to end; 0 deletes at once."),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Delete an object that cannot be read any more, without regard to finalizers.",
    ),
    ("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    ("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
];

/// On the operations of subresources that have parameters of their own.
pub(super) fn of_subresource(name: &str) -> Table {
    match name {
        "attach" => STREAMS,
        "exec" => EXEC,
        "log" => LOG,
        "portforward" => &[("ports", "integer", "Ports to forward; needed for WebSockets.")],
        "proxy" => &[("path", "string", "The path below the proxied object.")],
        _ => &[],
    }
}

const STREAMS: Table = &[
    ("container", "string", "The container, if the pod has more than one."),
    ("stderr", "boolean", "Whether standard error is sent."),
    ("stdin", "boolean", "Whether standard input is taken."),
    ("stdout", "boolean", "Whether standard output is sent."),
    ("tty", "boolean", "Whether there is a terminal."),
];

const EXEC: Table = &[
    ("command", "string", "The command and its arguments; not run in a shell."),
    STREAMS[0],
    STREAMS[1],
    STREAMS[2],
    STREAMS[3],
    STREAMS[4],
];

const LOG: Table = &[
    STREAMS[0],
    ("follow", "boolean", "Whether new lines are streamed."),
    ("insecureSkipTLSVerifyBackend", "boolean", "Do not verify the kubelet's certificate."),
    ("limitBytes", "integer", "How many bytes are sent at most."),
    ("previous", "boolean", "The log of the container that ended before."),
    ("sinceSeconds", "integer", "Only lines not older than this."),
    ("stream", "string", "Which output: All, Stdout or Stderr."),
    ("tailLines", "integer", "How many lines from the end."),
    ("timestamps", "boolean", "Whether each line starts with its time."),
];

/// The query parameters of a table.
pub(super) fn queries(table: Table) -> impl Iterator<Item = Parameter> {
    let place = Place::Query;
    table.iter().map(move |(name, kind, text)| Parameter {
        name,
        place,
        kind,
        description: (*text).to_owned(),
    })
}

/// A part of the path.
pub(super) fn path(name: &'static str, description: String) -> Parameter {
    Parameter { name, place: Place::Path, kind: "string", description }
}

impl Parameter {
    /// As version 2 has it: the type beside the name.
    pub fn v2(&self) -> Value {
        let mut out = self.common();
        out["type"] = self.kind.into();
        out["uniqueItems"] = true.into();
        out
    }

    /// As version 3 has it: the type in a schema.
    pub fn v3(&self) -> Value {
        let mut out = self.common();
        out["schema"] = json!({ "type": self.kind, "uniqueItems": true });
        out
    }

    fn common(&self) -> Value {
        match self.place {
            Place::Path => {
                json!({ "name": self.name, "in": "path", "description": self.description, "required": true })
            }
            Place::Query => json!({ "name": self.name, "in": "query", "description": self.description }),
        }
    }
}
