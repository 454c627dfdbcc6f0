//! create: from a body to a stored object (k8s.io/apiserver/pkg/endpoints/handlers/create.go and
//! pkg/registry/generic/registry/store.go).

use super::settled::Settled;
use super::write::{Write, drop_double_owners};
use super::{Answered, Body, Caller, Target, metadata, stored, target, validate};
use crate::errors;
use crate::options::WriteOptions;
use crate::registry::SubresourceKind;
use crate::request::Verb;
use crate::server::ApiServer;
use alcove_object::status::Details;
use alcove_object::{Reason, Status, Value, meta};
use alcove_store::{CommitError, Op};

/// How often a generated name is drawn before the answer is 409. Eight makes a collision unlikely up to a million
/// names of one prefix.
const GENERATED_NAMES_MAX: usize = 8;

impl ApiServer {
    /// Creates an object, or posts to a subresource (binding, eviction, token).
    pub async fn create(
        &self,
        caller: &Caller,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> Result<Answered, Status> {
        let mut write = Write::new(self, caller, target, options);
        match target.subresource() {
            Some(sub) if sub.kind == SubresourceKind::Binding => write.bind(body).await,
            Some(sub) if sub.kind == SubresourceKind::Eviction => write.evict(body).await,
            Some(sub) if sub.kind == SubresourceKind::Token => write.request_token(body).await,
            Some(_) => Err(Status::unavailable("no component of this server answers this subresource")),
            None if !target.resource.verbs.has(Verb::Get) => {
                create_unstored(self, caller, target, body, options).await
            }
            None => {
                let object = write.decode(body)?;
                if target.resource.custom.as_ref().is_some_and(|custom| custom.is_terminating) {
                    return Err(terminating(target, meta::name(&object)));
                }
                write.create(object).await.map_err(|status| write.warned(status))
            }
        }
    }
}

/// 403 for new instances of a definition that is going.
fn terminating(target: &Target, name: &str) -> Status {
    let gvr = &target.resource.gvr;
    let why = "create not allowed while custom resource definition is terminating";
    Status::forbidden(&gvr.group, &gvr.resource, name, why)
}

/// A post to a resource that keeps nothing: the old way to bind a pod. Reviews are answered before they come here.
async fn create_unstored(
    server: &ApiServer,
    caller: &Caller,
    target: &Target,
    body: Body,
    options: &WriteOptions,
) -> Result<Answered, Status> {
    let gvr = &target.resource.gvr;
    let registry = server.registry();
    let pods =
        registry.resource("", "v1", "pods").filter(|_| gvr.group.is_empty() && gvr.resource == "bindings");
    let pods = pods.ok_or_else(|| Status::method_not_supported(&gvr.group, &gvr.resource, "create"))?;
    let mut write = Write::new(server, caller, target, options);
    let mut binding = write.decode(body)?;
    if meta::name(&binding).is_empty() {
        return Err(Status::bad_request("Name parameter required."));
    }
    write.admit_posted(&mut binding).await?;
    let pod = Target::new(pods, "binding", &target.namespace, meta::name(&binding))?;
    Write::new(server, caller, &pod, options).bind_admitted(binding).await
}

impl Write<'_> {
    async fn create(&mut self, mut object: Value) -> Result<Answered, Status> {
        metadata::wipe(&mut object);
        self.place(&mut object)?;
        drop_double_owners(&mut object, &mut self.warnings);
        self.complete(&mut object);
        self.track(None, &mut object)?;
        self.name = meta::name(&object).to_owned();
        let created = self.create_named(&mut object).await;
        if created.is_err() {
            self.withdraw(Verb::Create, &mut object, None);
        }
        created
    }

    /// Admits and stores a new object, under a name that is made where it has none.
    async fn create_named(&mut self, object: &mut Value) -> Result<Answered, Status> {
        self.mutate(Verb::Create, object, None).await?;
        let is_generated = meta::name(object).is_empty() && !meta::text(object, "generateName").is_empty();
        let attempts = if is_generated { GENERATED_NAMES_MAX } else { 1 };
        for _ in 0..attempts {
            if is_generated {
                metadata::generate_name(object, &*self.server.env);
            }
            if let Some(answered) = self.create_prepared(object).await? {
                return Ok(answered);
            }
        }
        Err(self.already_exists(meta::name(object), !meta::text(object, "generateName").is_empty()))
    }

    /// Stores a new object that is decoded, tracked and admitted by mutating steps. `None`: its name is taken.
    pub(super) async fn create_prepared(&mut self, object: &mut Value) -> Result<Option<Answered>, Status> {
        let resource = self.resource();
        metadata::fill(object, &*self.server.env, &self.now);
        self.place(object)?;
        self.name = meta::name(object).to_owned();
        let keeps_status = resource.strategy.keeps_status();
        if resource.subresource("status").is_some() && !keeps_status {
            object.as_object_mut().map(|map| map.remove("status"));
        }
        metadata::first_generation(resource, object);
        resource.strategy.prepare_create(&self.context(), object);
        self.drop_disabled(object, None, &Settled::default());
        let own = resource.strategy.validate(&self.context(), object);
        errors::valid(resource, meta::name(object), validate::new_object(resource, object, own))?;
        self.warnings.extend(resource.strategy.warnings(object, None));
        self.warnings.extend((resource.rules.warns)(object, None));
        self.admit(Verb::Create, object, None).await?;
        // Upstream's store says so, which a dry run does not reach. It reads a number there, and forgives what is none.
        let version = meta::text(object, "resourceVersion").parse::<u64>();
        if version.is_ok_and(|version| version != 0) && !self.options.dry_run {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Status::new(500, Reason::UNKNOWN, why));
        }
        self.reserve(Verb::Create, object, None).await?;
        self.fill(object, &Settled::default());
        self.insert(object).await
    }

    async fn insert(&mut self, object: &mut Value) -> Result<Option<Answered>, Status> {
        let resource = self.resource();
        let key = target::key_of(meta::namespace(object), meta::name(object));
        if self.options.dry_run {
            if self.is_taken(&key) {
                return Ok(None);
            }
            return Ok(Some(self.answered(stored::unstored(key.into(), 0, object), true)));
        }
        stored::warm_body(resource, object).await?;
        loop {
            let (charges, turns) = self.charges(Verb::Create, object, None).await?;
            let is_charged = !charges.is_empty();
            let put = Some(stored::body(&self.registry, resource, object, ""));
            let op = Op { table: resource.table.clone(), key: key.as_str().into(), expect: None, put };
            let committed = self.server.store.commit(std::iter::once(op).chain(charges).collect()).await;
            drop(turns);
            match committed {
                Ok(entries) => {
                    let entry = entries.first().ok_or_else(|| Status::internal("the store gave no entry"))?;
                    stored::warm(resource, std::slice::from_ref(entry)).await?;
                    return Ok(Some(self.answered(stored::present(resource, entry), true)));
                }
                // What is stored together with it was overtaken.
                Err(CommitError::Conflict { .. }) if is_charged && !self.is_taken(&key) => {}
                Err(CommitError::Conflict { .. }) => return Ok(None),
                Err(error) => return Err(errors::commit(resource, meta::name(object), error)),
            }
        }
    }

    fn is_taken(&self, key: &str) -> bool {
        self.server.store.get(&self.resource().table, key).is_some()
    }

    pub(super) fn answered(&mut self, object: crate::client::Object, created: bool) -> Answered {
        Answered { object, created, warnings: std::mem::take(&mut self.warnings) }
    }

    /// 409, with word of a deletion that is under way, since then another try may succeed.
    fn already_exists(&self, name: &str, is_generated: bool) -> Status {
        let resource = self.resource();
        let gvr = &resource.gvr;
        let mut status = Status::already_exists(&gvr.group, &gvr.resource, name);
        if is_generated {
            status.message += ", the server was not able to generate a unique name for the object";
            status.details.get_or_insert_with(Details::default).retry_after_seconds = 1;
        }
        let key = target::key_of(&self.target.namespace, name);
        let existing = self.server.store.get(&resource.table, &key);
        if existing.is_some_and(|entry| meta::is_deleting(&stored::tree(resource, &entry))) {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }
}
