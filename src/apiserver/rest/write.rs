//! What create, update, patch and delete share: one write under way, its admission, and its field manager.

use super::settled::Settled;
use super::{Body, Caller, Target, decode, metadata, stored, target};
use crate::admission::{Admission, Attributes, Charge, Edit, Reinvocation};
use crate::errors;
use crate::options::WriteOptions;
use crate::registry::{Context, Registry, Resource, SubresourceKind};
use crate::request::Verb;
use crate::server::ApiServer;
use alcove_object::{Status, Value, meta, time};
use alcove_schema::apply::{self, Manager};
use alcove_schema::{Tree, View};
use alcove_store::Op;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// Longest field manager (k8s.io/apimachinery/pkg/apis/meta/v1/validation: FieldManagerMaxLength), in bytes.
const MANAGER_BYTES_MAX: usize = 128;
pub(super) const OTHER_NAMESPACE: &str =
    "the namespace of the provided object does not match the namespace sent on the request";

/// What admission sees of a write: its fields are borrowed one by one, since warnings are written meanwhile.
macro_rules! attributes {
    ($write:ident, $verb:ident, $object:ident, $old:ident) => {
        Attributes {
            verb: $verb,
            registry: &$write.registry,
            resource: &$write.target.resource,
            subresource: $write.target.subresource_name(),
            namespace: &$write.target.namespace,
            name: &$write.name,
            user: &$write.caller.user,
            authorizer: &*$write.server.authorizer,
            object: &mut *$object,
            old: $old,
            dry_run: $write.options.dry_run,
            reinvocation: &mut $write.reinvocation,
            warnings: &mut $write.warnings,
        }
    };
}

/// One write under way.
pub(super) struct Write<'a> {
    pub server: &'a ApiServer,
    pub registry: Arc<Registry>,
    pub caller: &'a Caller,
    pub target: &'a Target,
    pub options: &'a WriteOptions,
    /// Name of the object; empty until a created one has its.
    pub name: String,
    /// When it began, as `metav1.Time`.
    pub now: String,
    /// Who of those who change objects is to be asked again.
    reinvocation: Reinvocation,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
    /// The object's managed fields as text, where they are held apart from its tree (see [`stored::apart`]).
    pub owners: String,
}

impl<'a> Write<'a> {
    pub fn new(
        server: &'a ApiServer,
        caller: &'a Caller,
        target: &'a Target,
        options: &'a WriteOptions,
    ) -> Write<'a> {
        let now = time::format(server.env.now());
        let name = target.name.clone();
        Write {
            server,
            registry: server.registry(),
            caller,
            target,
            options,
            name,
            now,
            reinvocation: Reinvocation::default(),
            warnings: Vec::new(),
            owners: String::new(),
        }
    }

    pub fn resource(&self) -> &'a Arc<Resource> {
        &self.target.resource
    }

    /// The kind's own schema, whatever the subresource's is.
    pub fn schema(&self) -> View<'a> {
        self.resource().types.view(self.resource().schema)
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            minor: self.server.minor,
            env: &*self.server.env,
            user: &self.caller.user,
            has_same_spec: false,
        }
    }

    /// A body as a tree of the target's kind.
    pub fn decode(&mut self, body: Body) -> Result<Value, Status> {
        let types = &self.resource().types;
        let gvk = self.target.gvk();
        let is_custom = self.resource().custom.is_some() && *gvk == self.resource().gvk;
        decode::object(body, types, gvk, is_custom, self.options.field_validation, &mut self.warnings)
    }

    /// Adds to a decoded object what its kind defaults and what Go always writes.
    pub fn complete(&self, object: &mut Value) {
        self.resource().complete(object);
    }

    /// The same for a changed object, of which some is settled.
    pub fn complete_changed(&self, object: &mut Value, old: &Value, settled: &Settled) {
        self.fill(object, settled);
        if !settled.is_defaulted(object, old) {
            self.resource().strategy.default(object);
            self.fill(object, settled);
        }
    }

    /// Adds what Go always writes, such as `status: {}`.
    pub fn fill(&self, object: &mut Value, settled: &Settled) {
        settled.beside(object, |object| alcove_schema::decode::fill(object, self.schema()));
    }

    /// Takes out what belongs to features that are off, but for those that the old object makes use of.
    pub fn drop_disabled(&self, object: &mut Value, old: Option<&Value>, settled: &Settled) {
        if let Some(gates) = &self.resource().gates {
            settled.beside(object, |object| gates.take_out(self.schema(), object, old));
        }
    }

    /// A failure with the warnings so far: who sent a field that does not exist learns that too.
    pub fn warned(&mut self, status: Status) -> Status {
        status.with_warnings(std::mem::take(&mut self.warnings))
    }

    /// Who will own the fields.
    fn manager(&self) -> &str {
        let given = match self.options.field_manager.as_str() {
            "" => &self.caller.manager,
            named => named,
        };
        let end =
            given.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MANAGER_BYTES_MAX);
        match &given[..end.last().unwrap_or(0)] {
            "" => "unknown",
            manager => manager,
        }
    }

    /// What the target's writers never own.
    fn reset_fields(&self) -> Vec<&'static str> {
        match self.target.subresource().map(|s| s.kind) {
            Some(SubresourceKind::Status) => {
                let kept = self.resource().rules.status_resets.iter().copied();
                std::iter::once("spec").chain(kept).collect()
            }
            None if self.resource().subresource("status").is_some() => vec!["status"],
            _ => Vec::new(),
        }
    }

    /// The field manager of this write, whose entries name fields in a version.
    pub fn manager_in<'w>(&'w self, api_version: &'w str) -> Manager<'w> {
        Manager {
            name: self.manager(),
            api_version,
            subresource: self.target.subresource_name(),
            time: &self.now,
        }
    }

    /// Writes down in the new object who changed what.
    pub fn track(&self, live: Option<&Value>, new: &mut Value) -> Result<(), Status> {
        let api_version = self.resource().gvk.api_version();
        let manager = self.manager_in(&api_version);
        apply::track_update(live, new, self.schema(), &manager, &self.reset_fields())
            .map_err(|e| e.to_status())
    }

    /// Merges an apply into the live object.
    pub fn apply(&self, live: Option<&Value>, patch: &Tree<'_>) -> Result<Value, Status> {
        let api_version = self.resource().gvk.api_version();
        let manager = self.manager_in(&api_version);
        apply::apply(live, patch, self.schema(), &manager, self.options.force, &self.reset_fields())
            .map_err(|e| e.to_status())
    }

    /// The same for a live object whose managed fields are held apart; those of the result become this write's.
    pub fn apply_apart(&mut self, live: &Value, owners: &str, patch: &Tree<'_>) -> Result<Value, Status> {
        let api_version = self.resource().gvk.api_version();
        let (manager, reset) = (self.manager_in(&api_version), self.reset_fields());
        let (schema, force) = (self.schema(), self.options.force);
        let (object, owners) = apply::apply_apart(live, owners, patch, schema, &manager, force, &reset)
            .map_err(|e| e.to_status())?;
        self.owners = owners;
        Ok(object)
    }

    /// One admission step over something that is not stored.
    async fn run_step(
        &mut self,
        step: &dyn Admission,
        verb: Verb,
        object: &mut Value,
        validating: bool,
    ) -> Result<(), Status> {
        let old = None;
        match validating {
            false => step.mutate(&mut attributes!(self, verb, object, old)).await,
            true => step.validate(&mut attributes!(self, verb, object, old)).await,
        }
    }

    /// Admission of what is posted to a subresource and not stored. Only the chain: what the resource itself defaults is
    /// no business of it.
    pub async fn admit_posted(&mut self, posted: &mut Value) -> Result<(), Status> {
        let server = self.server;
        for validating in [false, true] {
            for step in &server.admission {
                self.run_step(&**step, Verb::Create, posted, validating).await?;
            }
        }
        Ok(())
    }

    /// Mutating admission, and what must hold again after it.
    pub async fn mutate(
        &mut self,
        verb: Verb,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let server = self.server;
        self.reinvocation = Reinvocation::default();
        loop {
            for step in server.admission.iter().filter(|step| !step.is_storage()) {
                step.mutate(&mut attributes!(self, verb, object, old)).await?;
            }
            if !self.reinvocation.begins_again() {
                break;
            }
        }
        for step in server.admission.iter().filter(|step| step.is_storage()) {
            step.mutate(&mut attributes!(self, verb, object, old)).await?;
        }
        if matches!(verb, Verb::Create | Verb::Update) {
            if !old.is_some_and(|old| Settled::of(object, old).is_defaulted(object, old)) {
                self.resource().strategy.default(object);
            }
            drop_double_owners(object, &mut self.warnings);
        }
        Ok(())
    }

    /// Tells the steps of [`Self::mutate`] that its object is not stored after all.
    pub fn withdraw(&mut self, verb: Verb, object: &mut Value, old: Option<&Value>) {
        let server = self.server;
        for step in &server.admission {
            step.withdraw(&attributes!(self, verb, object, old));
        }
    }

    /// Validating admission.
    pub async fn admit(&mut self, verb: Verb, object: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        let server = self.server;
        for step in &server.admission {
            step.validate(&mut attributes!(self, verb, object, old)).await?;
        }
        Ok(())
    }

    /// The last steps before an object is stored.
    pub async fn reserve(
        &mut self,
        verb: Verb,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let server = self.server;
        for step in &server.admission {
            step.reserve(&mut attributes!(self, verb, object, old)).await?;
        }
        Ok(())
    }

    /// What must be stored together with the object. The turns are to be held until the commit is answered.
    pub async fn charges(
        &mut self,
        verb: Verb,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(Vec<Op>, Vec<OwnedMutexGuard<()>>), Status> {
        let (server, mut ops, mut turns) = (self.server, Vec::new(), Vec::new());
        for step in &server.admission {
            let charge = step.charge(&mut attributes!(self, verb, object, old)).await?;
            let Some(Charge { edits, turn }) = charge else { continue };
            for edit in edits {
                ops.push(self.operation(edit)?);
            }
            turns.extend(turn);
        }
        Ok((ops, turns))
    }

    /// A change of another object as an operation. The server itself is who made it.
    fn operation(&self, edit: Edit) -> Result<Op, Status> {
        let Edit { resource, subresource, entry, object } = edit;
        let resource = self.registry.gvr(&resource).ok_or_else(Status::no_such_resource)?;
        let key = match (&entry, &object) {
            (Some(entry), _) => entry.key.clone(),
            (None, Some(object)) => target::key_of(meta::namespace(object), meta::name(object)).into(),
            (None, None) => return Err(Status::internal("a change of nothing into nothing")),
        };
        let (table, expect) = (resource.table.clone(), entry.as_ref().map(|entry| entry.revision));
        let Some(mut object) = object else { return Ok(Op { table, key, expect, put: None }) };
        let (api_version, schema) = (resource.gvk.api_version(), resource.types.view(resource.schema));
        let manager =
            Manager { name: "kube-apiserver", api_version: &api_version, subresource, time: &self.now };
        let reset = if subresource.is_empty() { ["status"] } else { ["spec"] };
        let old = entry.map(|entry| stored::tree(resource, &entry));
        apply::track_update(old.as_ref(), &mut object, schema, &manager, &reset)
            .map_err(|e| e.to_status())?;
        match &old {
            Some(old) => apply::keep_times(old, &mut object),
            None => {
                metadata::fill(&mut object, &*self.server.env, &self.now);
                metadata::first_generation(resource, &mut object);
            }
        }
        let put = Some(stored::body(&self.registry, resource, &mut object, ""));
        Ok(Op { table, key, expect, put })
    }

    /// 400 unless the object's namespace is the path's, which is filled in where there is none.
    pub fn place(&self, object: &mut Value) -> Result<(), Status> {
        let expected = self.target.namespace.as_str();
        if expected.is_empty() && self.resource().namespaced {
            return Err(Status::bad_request("an empty namespace may not be set during creation"));
        }
        match meta::namespace(object) {
            found if found == expected => Ok(()),
            _ if expected.is_empty() => {
                meta::unset(object, "namespace");
                Ok(())
            }
            "" => {
                meta::set(object, "namespace", expected);
                Ok(())
            }
            _ => Err(Status::bad_request(OTHER_NAMESPACE)),
        }
    }

    /// 400 unless what is posted to a subresource is about the object of the path: its namespace, where it says one, and
    /// its name, which it must say.
    pub fn check_posted(&self, posted: &Value) -> Result<(), Status> {
        let (namespace, expected) = (meta::namespace(posted), self.target.namespace.as_str());
        if !namespace.is_empty() && namespace != expected {
            return Err(Status::bad_request(OTHER_NAMESPACE));
        }
        if meta::name(posted) == self.target.name {
            return Ok(());
        }
        let kind = &self.target.gvk().kind;
        Err(Status::bad_request(format!("name in URL does not match name in {kind} object")))
    }

    /// 400 unless the object's name is the path's.
    pub fn check_name(&self, object: &Value) -> Result<(), Status> {
        let expected = &self.target.name;
        match meta::name(object) {
            found if found == expected => Ok(()),
            "" => Err(Status::bad_request(format!(
                "the name of the object ({expected} based on URL) was undeterminable: name must be provided"
            ))),
            found => Err(Status::bad_request(format!(
                "the name of the object ({found}) does not match the name on the URL ({expected})"
            ))),
        }
    }

    pub fn not_found(&self) -> Status {
        errors::not_found(self.resource(), &self.target.name)
    }
}

/// Takes out owner references that are there twice, with upstream's warning.
pub(super) fn drop_double_owners(object: &mut Value, warnings: &mut Vec<String>) {
    let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) else {
        return;
    };
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    for owner in owners.drain(..) {
        if !kept.contains(&owner) {
            kept.push(owner);
            continue;
        }
        let uid = owner.get("uid").and_then(Value::as_str).unwrap_or_default();
        warnings.push(format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {uid}"
        ));
    }
    *owners = kept;
}
