//! What an operation is about and who does it.

use crate::authorization::Action;
use crate::registry::{Registry, Resource, Subresource, SubresourceKind};
use crate::request::{RequestInfo, Verb};
use crate::user::User;
use alcove_object::field::quote;
use alcove_object::{Gvk, Gvr, Status, name};
use std::sync::Arc;

/// Who does something.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The user.
    pub user: User,
    /// Field manager unless the options name one: the user agent up to its first slash.
    pub manager: String,
}

/// What an operation is about: a resource, or one object of it, or a subresource of that.
#[derive(Clone)]
pub struct Target {
    /// The resource.
    pub resource: Arc<Resource>,
    /// Position in `resource.subresources`; `None`: the object itself.
    pub subresource: Option<usize>,
    /// The namespace; empty for all, and for cluster-scoped resources (namespaces too).
    pub namespace: String,
    /// The name; empty for collections.
    pub name: String,
}

/// Subresources of custom resources are found by their objects, and know fewer verbs than paths
/// (k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go: ServeHTTP).
fn check_custom(resource: &Resource, info: &RequestInfo) -> Result<(), Status> {
    if resource.custom.is_none() || info.subresource.is_empty() {
        return Ok(());
    }
    let (group, plural) = (&resource.gvr.group, &resource.gvr.resource);
    match resource.subresource(&info.subresource) {
        None => {
            let warnings = resource.deprecation.iter().cloned().collect();
            Err(Status::not_found(group, plural, &info.name).with_warnings(warnings))
        }
        Some(known) if !known.verbs.has(info.verb) => {
            Err(Status::method_not_supported(group, plural, info.verb.as_str()))
        }
        Some(_) => Ok(()),
    }
}

impl Target {
    /// What a request from the wire is about. 404 for what is not served, 405 for a verb that is not supported.
    pub fn of(registry: &Registry, info: &RequestInfo) -> Result<Target, Status> {
        let resource = registry
            .resource(&info.group, &info.version, &info.resource)
            .ok_or_else(Status::no_such_resource)?;
        check_path(resource, info)?;
        check_custom(resource, info)?;
        let name = match info.verb {
            // A field selector can put a name into a list's or watch's request info; the path has none.
            Verb::List | Verb::Watch | Verb::DeleteCollection => "",
            _ => &info.name,
        };
        Target::new(resource, &info.subresource, &info.namespace, name)?.supporting(info.verb)
    }

    /// A target from its parts. 404 for a subresource that is not served.
    pub fn new(
        resource: &Arc<Resource>,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Target, Status> {
        let subresource = match subresource {
            "" => None,
            sub => {
                let at = resource.subresources.iter().position(|s| s.name == sub);
                Some(at.ok_or_else(Status::no_such_resource)?)
            }
        };
        let namespace = if resource.namespaced { namespace.to_owned() } else { String::new() };
        Ok(Target { resource: resource.clone(), subresource, namespace, name: name.to_owned() })
    }

    /// A target by the resource's names.
    pub fn named(
        registry: &Registry,
        gvr: &Gvr,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Target, Status> {
        Target::new(registry.gvr(gvr).ok_or_else(Status::no_such_resource)?, subresource, namespace, name)
    }

    /// The same target, or 405 when the resource or subresource does not know the verb.
    pub fn supporting(self, verb: Verb) -> Result<Target, Status> {
        let verbs = self.subresource().map_or(self.resource.verbs, |s| s.verbs);
        // A connection's verb is its method's; whoever answers it says which methods it knows.
        let is_connection = self.subresource().is_some_and(|s| s.kind == SubresourceKind::Connect);
        if verbs.has(verb) || is_connection {
            return Ok(self);
        }
        let gvr = &self.resource.gvr;
        Err(match self.resource.custom {
            Some(_) => Status::method_not_supported(&gvr.group, &gvr.resource, verb.as_str()),
            None => Status::unrouted_method(),
        })
    }

    /// The subresource, if the target is one.
    pub fn subresource(&self) -> Option<&Subresource> {
        self.subresource.map(|at| &self.resource.subresources[at])
    }

    /// Name of the subresource, empty if the target is none.
    pub fn subresource_name(&self) -> &'static str {
        self.subresource().map_or("", |s| s.name)
    }

    /// The kind of bodies that this target takes and gives.
    pub fn gvk(&self) -> &Gvk {
        self.subresource().map_or(&self.resource.gvk, |s| &s.gvk)
    }

    /// The object's key in the store's table.
    pub fn key(&self) -> String {
        key_of(&self.namespace, &self.name)
    }

    /// The question that the authorizer is asked about this target.
    pub fn action(&self, verb: Verb) -> Action<'_> {
        let gvr = &self.resource.gvr;
        let is_namespace = gvr.group.is_empty() && gvr.resource == "namespaces";
        Action {
            is_resource: true,
            verb: verb.as_str(),
            group: &gvr.group,
            version: &gvr.version,
            resource: &gvr.resource,
            subresource: self.subresource_name(),
            namespace: if is_namespace { &self.name } else { &self.namespace },
            name: &self.name,
            path: "",
        }
    }
}

/// Whether the path is one that the resource has (k8s.io/apiserver/pkg/endpoints/installer.go). Authorization has judged
/// the namespace of the path by then, so it must be the one where the object is: what belongs to the whole cluster is at
/// no path with a namespace, and what belongs to a namespace is only listed and watched without one. 404, 405, or 400 for a
/// name that no object can have.
fn check_path(resource: &Resource, info: &RequestInfo) -> Result<(), Status> {
    use Verb::{Create, DeleteCollection, Get, List, Watch};
    let is_namespace = resource.gvr.group.is_empty() && resource.gvr.resource == "namespaces";
    let is_elsewhere = match resource.namespaced {
        true => false,
        false if is_namespace => !info.namespace.is_empty() && info.namespace != info.name,
        false => !info.namespace.is_empty(),
    };
    let is_connection =
        resource.subresource(&info.subresource).is_some_and(|s| s.kind == SubresourceKind::Connect);
    // The old prefix of proxies is a verb, which nothing serves any more.
    if is_elsewhere || (info.verb == Verb::Connect && !is_connection) {
        return Err(Status::no_such_resource());
    }
    // Only proxies have paths below them.
    let is_tailed = is_connection && info.subresource == "proxy";
    if !info.tail.is_empty() && !is_tailed {
        return Err(Status::no_such_resource());
    }
    let is_collection = info.subresource.is_empty()
        && (info.name.is_empty() || matches!(info.verb, List | Watch | DeleteCollection));
    let served = if is_collection { [List, Create] } else { [Get, Verb::Connect] };
    let is_served = served.into_iter().any(|verb| resource.verbs.has(verb));
    if info.subresource.is_empty() && resource.custom.is_none() && !is_served {
        return Err(Status::no_such_resource());
    }
    if resource.namespaced && info.namespace.is_empty() {
        match info.verb {
            List | Watch if resource.verbs.has(List) => {}
            _ if is_collection && resource.verbs.has(List) && resource.custom.is_none() => {
                return Err(Status::unrouted_method());
            }
            _ => return Err(Status::no_such_resource()),
        }
    }
    match name::path_segment(&info.name, false).as_slice() {
        wrong if !info.name.is_empty() && !wrong.is_empty() => {
            let why = format!("Name parameter invalid: {}: {}", quote(&info.name), wrong.join(";"));
            Err(Status::bad_request(why))
        }
        _ => Ok(()),
    }
}

/// `namespace/name`, or the name of a cluster-scoped object.
pub(crate) fn key_of(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}
