//! Roles and their bindings (k8s.io/kubernetes/pkg/apis/rbac/validation).

use crate::kinds::defaults::kinds;
use crate::kinds::tree::{list, some, text};
use crate::kinds::validation::items;
use crate::registry::{Context, Strategy};
use alcove_object::field::{Error, Path};
use alcove_object::validate::validate_label_selector;
use alcove_object::{Value, name};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Roles, of a namespace or of the cluster.
pub(crate) struct Role {
    /// Whether it is one of a namespace.
    pub(crate) namespaced: bool,
}

impl Strategy for Role {
    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let rules = items(object, "rules", &Path::default());
        let mut errors: Vec<Error> = rules.flat_map(|(at, r)| rule(r, self.namespaced, &at)).collect();
        if some(object, "/aggregationRule").is_some()
            && list(object, "/aggregationRule/clusterRoleSelectors").is_empty()
        {
            let path = Path::new("aggregationRule").child("clusterRoleSelectors");
            let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(Error::required(&path, why));
        }
        let rule = object.get("aggregationRule").unwrap_or(&Value::Null);
        for (at, selector) in items(rule, "clusterRoleSelectors", &Path::new("aggregationRule")) {
            let wrong = validate_label_selector(Some(selector), false, &at);
            let is_wrong = !wrong.is_empty();
            errors.extend(wrong);
            // Upstream shows what it could not read the selector as.
            errors.extend(is_wrong.then(|| Error::invalid(&at, Value::Null, "invalid label selector.")));
        }
        errors
    }
}

fn rule(rule: &Value, namespaced: bool, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let is_empty = |field: &str| list(rule, &format!("/{field}")).is_empty();
    if is_empty("verbs") {
        errors.push(Error::required(&path.child("verbs"), "verbs must contain at least one value"));
    }
    if !is_empty("nonResourceURLs") {
        let path = path.child("nonResourceURLs");
        let urls = rule["nonResourceURLs"].clone();
        if namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            errors.push(Error::invalid(&path, urls.clone(), why));
        }
        if ["apiGroups", "resources", "resourceNames"].iter().any(|f| !is_empty(f)) {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(Error::invalid(&path, urls, why));
        }
        return errors;
    }
    if is_empty("apiGroups") {
        let why = "resource rules must supply at least one api group";
        errors.push(Error::required(&path.child("apiGroups"), why));
    }
    if is_empty("resources") {
        let why = "resource rules must supply at least one resource";
        errors.push(Error::required(&path.child("resources"), why));
    }
    errors
}

/// Bindings of roles, in a namespace or in the cluster.
pub(crate) struct RoleBinding {
    /// Whether it is one of a namespace.
    pub(crate) namespaced: bool,
}

impl Strategy for RoleBinding {
    fn default(&self, object: &mut Value) {
        kinds::role_binding(object);
    }

    fn validate(&self, _: &Context<'_>, object: &Value) -> Vec<Error> {
        let path = Path::new("roleRef");
        let mut errors = Vec::new();
        let group = text(object, "/roleRef/apiGroup");
        if group != GROUP {
            errors.push(Error::not_supported(&path.child("apiGroup"), group, &[GROUP]));
        }
        let kinds: &[&str] = if self.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
        let kind = text(object, "/roleRef/kind");
        if !kinds.contains(&kind) {
            errors.push(Error::not_supported(&path.child("kind"), kind, kinds));
        }
        match text(object, "/roleRef/name") {
            "" => errors.push(Error::required(&path.child("name"), "")),
            role => {
                let messages = name::path_segment(role, false).into_iter();
                errors.extend(messages.map(|m| Error::invalid(&path.child("name"), role, m)));
            }
        }
        let subjects = items(object, "subjects", &Path::default());
        errors.extend(subjects.flat_map(|(at, s)| subject(s, self.namespaced, &at)));
        errors
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Vec<Error> {
        let mut errors = self.validate(context, object);
        let role = |object: &Value| object.get("roleRef").cloned().unwrap_or(Value::Null);
        if role(object) != role(old) {
            // Upstream shows the fields by the names that they have in Go.
            let shown = serde_json::json!({
                "APIGroup": text(object, "/roleRef/apiGroup"), "Kind": text(object, "/roleRef/kind"),
                "Name": text(object, "/roleRef/name"),
            });
            errors.push(Error::invalid(&Path::new("roleRef"), shown, "cannot change roleRef"));
        }
        errors
    }
}

fn subject(subject: &Value, namespaced: bool, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let (subject_name, group) = (text(subject, "/name"), text(subject, "/apiGroup"));
    if subject_name.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    }
    match text(subject, "/kind") {
        "ServiceAccount" => {
            if !subject_name.is_empty() {
                let messages = name::dns_subdomain(subject_name, false).into_iter();
                errors.extend(messages.map(|m| Error::invalid(&path.child("name"), subject_name, m)));
            }
            if !group.is_empty() {
                errors.push(Error::not_supported(&path.child("apiGroup"), group, &[""]));
            }
            if !namespaced && text(subject, "/namespace").is_empty() {
                errors.push(Error::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" if group != GROUP => {
            errors.push(Error::not_supported(&path.child("apiGroup"), group, &[GROUP]));
        }
        "User" | "Group" => {}
        kind => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(Error::not_supported(&path.child("kind"), kind, &kinds));
        }
    }
    errors
}
