//! What expressions of admission see of one request (k8s.io/apiserver/pkg/admission/plugin/cel/activation.go).

use super::Attributes;
use super::matching::{Match, request};
use crate::authorization::{Action, Authorizer};
use crate::user::User;
use alcove_cel::{Access, Decision, Question, Value as Cel};
use alcove_object::{Gvk, Value};
use alcove_store::Store;

/// A variable and its value.
pub(super) type Bound<'a> = (&'static str, Cel<'a>);

/// Answers the questions of expressions by what the cluster's roles say.
struct Asked<'r> {
    authorizer: &'r dyn Authorizer,
    user: &'r User,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asked({})", self.user.name)
    }
}

impl alcove_cel::Authorizer for Asked<'_> {
    fn decide(&self, question: &Question) -> Decision {
        let account =
            question.account.as_ref().map(|(namespace, name)| User::service_account(namespace, name));
        let user = account.as_ref().unwrap_or(self.user);
        let action = Action {
            is_resource: question.path.is_none(),
            verb: &question.verb,
            group: &question.group,
            version: if question.path.is_none() { "*" } else { "" },
            resource: &question.resource,
            subresource: &question.subresource,
            namespace: &question.namespace,
            name: &question.name,
            path: question.path.as_deref().unwrap_or_default(),
        };
        match self.authorizer.authorize(user, &action) {
            Ok(()) => Decision { allowed: true, reason: self.authorizer.why(user, &action) },
            Err(reason) => Decision { allowed: false, reason },
        }
    }
}

/// A request as expressions see it.
pub(super) struct Seen<'r> {
    asked: Asked<'r>,
    /// The request's resource, as something to be asked about.
    own: Question,
    pub object: Value,
    old: Value,
    request: Value,
    namespace: Value,
}

impl<'r> Seen<'r> {
    /// What a webhook sees: nothing of the namespace.
    pub fn new(attributes: &Attributes<'r>, found: &Match) -> Seen<'r> {
        let request = request(attributes, found, "");
        let gvr = &attributes.resource.gvr;
        let own = Question {
            group: gvr.group.clone(),
            resource: gvr.resource.clone(),
            subresource: attributes.subresource.to_owned(),
            namespace: attributes.namespace.to_owned(),
            name: attributes.name.to_owned(),
            ..Question::default()
        };
        Seen {
            asked: Asked { authorizer: attributes.authorizer, user: attributes.user },
            own,
            object: found.object(attributes),
            old: found.old(attributes),
            request,
            namespace: Value::Null,
        }
    }

    /// The same with the namespace that the object is in.
    pub fn with_namespace(attributes: &Attributes<'r>, found: &Match, store: &Store) -> Seen<'r> {
        let is_namespace = attributes.resource.gvk == Gvk::new("", "v1", "Namespace");
        let name = attributes.namespace;
        let entry = (!is_namespace && !name.is_empty()).then(|| store.get("namespaces", name)).flatten();
        let namespace = entry.and_then(|entry| serde_json::from_slice(&entry.json).ok()).unwrap_or_default();
        Seen { namespace, ..Seen::new(attributes, found) }
    }

    /// The variables of conditions, which see nothing of the namespace either.
    pub fn without_namespace<'s>(&'s self, params: &'s Value) -> Vec<Bound<'s>> {
        let mut variables = self.variables(params);
        variables
            .iter_mut()
            .filter(|(name, _)| *name == "namespaceObject")
            .for_each(|(_, value)| *value = Cel::Null);
        variables
    }

    /// The variables.
    pub fn variables<'s>(&'s self, params: &'s Value) -> Vec<Bound<'s>> {
        vec![
            ("object", Cel::of(&self.object, None)),
            ("oldObject", Cel::of(&self.old, None)),
            ("request", Cel::of(&self.request, None)),
            ("params", Cel::of(params, None)),
            ("namespaceObject", Cel::of(&self.namespace, None)),
            ("authorizer", Access::of(&self.asked)),
            ("authorizer.requestResource", Access::of_resource(&self.asked, self.own.clone())),
        ]
    }
}
