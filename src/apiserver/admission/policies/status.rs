//! Says in the status of validating policies what is wrong with the types in their expressions
//! (k8s.io/kubernetes/pkg/controller/validatingadmissionpolicystatus,
//! k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go).
//!
//! A policy is judged without knowing what its objects are. Here its expressions are compiled once for each kind that its
//! constraints name. What comes of it changes nothing but the status.

use super::definition::variables;
use crate::admission::known::{Typed, typed};
use crate::client::Client;
use crate::options::{ListOptions, PatchType, WriteOptions};
use crate::registry::{Registry, Resource};
use crate::server::Server;
use crate::user::User;
use alcove_cel::Program;
use alcove_object::{Gvk, Gvr, Reason, Status, Value, meta, settled};
use alcove_schema::declare;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before policies that could not be read or written are tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Kinds that one rule is checked for; its other kinds are not.
const KINDS_MAX: usize = 10;
/// Who writes the status.
const MANAGER: &str = "validatingadmissionpolicy-status";
/// Whatever was changed or deleted meanwhile comes as an event.
const PASSING: [Reason; 2] = [Reason::CONFLICT, Reason::NOT_FOUND];

/// Keeps the status of validating policies.
pub struct TypeChecks {
    server: Server,
    client: Client,
}

fn policies() -> Gvr {
    Gvr::new("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies")
}

impl TypeChecks {
    /// Over the policies of a server.
    pub fn new(server: &Server) -> TypeChecks {
        TypeChecks {
            server: server.clone(),
            client: server.client(User::component("system:apiserver"), MANAGER),
        }
    }

    /// Follows the policies until it is dropped; ends at once where they are not served.
    pub async fn run(self) {
        if self.server.registry().gvr(&policies()).is_none() {
            return;
        }
        loop {
            if let Err(status) = self.follow().await {
                tracing::warn!(error = %status, "cannot check the types of admission policies");
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn follow(&self) -> Result<(), Status> {
        let resource_version = self.server.store.revision().to_string();
        let options = ListOptions { resource_version, ..ListOptions::default() };
        let mut watch = self.client.watch(&policies(), "", &options)?;
        loop {
            for policy in self.client.list(&policies(), "", &ListOptions::default())?.items {
                self.tell(&policy.parse()).await?;
            }
            // What was written meanwhile comes as an event; what comes together is looked at once.
            match watch.next().await {
                None => return Ok(()),
                Some(events) => drop(events?),
            }
        }
    }

    /// Writes the status of a policy that was changed since it was written.
    async fn tell(&self, policy: &Value) -> Result<(), Status> {
        let generation = policy["metadata"]["generation"].as_i64().unwrap_or(0);
        if generation <= policy["status"]["observedGeneration"].as_i64().unwrap_or(0) {
            return Ok(());
        }
        let warnings = warnings(&policy["spec"], &self.server.registry());
        let mut checking = Map::new();
        if !warnings.is_empty() {
            checking.insert("expressionWarnings".into(), warnings.into());
        }
        let name = meta::name(policy);
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "status": {"observedGeneration": generation, "typeChecking": checking},
        });
        let options =
            WriteOptions { force: true, field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
        let told =
            self.client.patch(&policies(), "status", "", name, PatchType::Apply, patch, &options).await;
        settled(told, &PASSING)
    }
}

/// What is wrong with the types of a policy's expressions, by the place of each.
pub(super) fn warnings(spec: &Value, registry: &Registry) -> Vec<Value> {
    let kinds = kinds(spec, registry);
    let of = |resource: &Arc<Resource>| declare(resource.types.view(resource.schema));
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let params = spec.get("paramKind").filter(|kind| !kind.is_null());
    let param_kind = params.map(|kind| Gvk::from_api_version(&text(kind, "apiVersion"), &text(kind, "kind")));
    let param_decl = param_kind.and_then(|kind| registry.kind(&kind).map(of));
    // What each kind's expressions may speak of.
    let known = kinds.iter().map(|(gvk, resource)| {
        let types = Typed { object: Some(of(resource)), params: param_decl.clone() };
        (gvk, variables(spec, &typed(&types, params.is_some())).1)
    });
    let known: Vec<_> = known.collect();
    let mut warnings = Vec::new();
    for (i, validation) in spec["validations"].as_array().into_iter().flatten().enumerate() {
        for field in ["expression", "messageExpression"] {
            let source = text(validation, field);
            if source.is_empty() {
                continue;
            }
            let wrong = known.iter().filter_map(|(gvk, known)| {
                let issues = Program::compile(&source, known).err()?;
                Some(format!("{}/{}, Kind={}: {issues}\n", gvk.group, gvk.version, gvk.kind))
            });
            let wrong: Vec<String> = wrong.collect();
            if !wrong.is_empty() {
                let place = format!("spec.validations[{i}].{field}");
                warnings.push(json!({"fieldRef": place, "warning": wrong.join("\n")}));
            }
        }
    }
    warnings
}

/// The kinds that a policy's rules name, in order. Rules with wildcards name none.
fn kinds<'r>(spec: &Value, registry: &'r Registry) -> BTreeMap<Gvk, &'r Arc<Resource>> {
    let mut kinds = BTreeMap::new();
    for rule in spec["matchConstraints"]["resourceRules"].as_array().into_iter().flatten() {
        let list = |field: &str| {
            let mut all: Vec<&str> =
                rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            all.sort_unstable();
            all
        };
        let (groups, versions) = (list("apiGroups"), list("apiVersions"));
        if groups.iter().chain(&versions).any(|name| name.contains('*')) {
            continue;
        }
        let plain = list("resources").into_iter().filter(|name| !name.contains(['*', '/']));
        let plain: Vec<&str> = plain.collect();
        let named = groups.iter().flat_map(|group| versions.iter().map(move |version| (*group, *version)));
        let named = named.flat_map(|(group, version)| plain.iter().map(move |name| (group, version, *name)));
        let served = named.filter_map(|(group, version, name)| registry.resource(group, version, name));
        kinds.extend(served.take(KINDS_MAX).map(|resource| (resource.gvk.clone(), resource)));
    }
    kinds
}
