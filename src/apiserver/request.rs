//! What a request is about, parsed once from method and URL (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go).

/// The verb that authorization, audit and metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the words of the API
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// exec, attach, port-forward and the proxies.
    Connect,
    /// OPTIONS and whatever else no rule has a word for but `*`. The proxies alone know it.
    Unnamed,
}

impl Verb {
    /// The verb in lower case, as rules spell it; empty if they cannot.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Connect => "connect",
            Verb::Unnamed => "",
        }
    }
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// False for health, discovery, version and everything else that is no object.
    pub is_resource: bool,
    /// The path as sent, percent-decoded.
    pub path: String,
    /// The verb; for non-resource requests the lower-case method stands in `method`.
    pub verb: Verb,
    /// HTTP method in lower case.
    pub method: String,
    /// API group, empty for core.
    pub group: String,
    /// Version in the group.
    pub version: String,
    /// Namespace, empty if none. For namespaces themselves, their own name.
    pub namespace: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource, empty if none.
    pub subresource: String,
    /// Object name, empty for collections. `fieldSelector=metadata.name=x` sets it too.
    pub name: String,
    /// What follows the subresource (proxy paths).
    pub tail: String,
}
