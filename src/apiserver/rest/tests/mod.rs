//! The pipeline's rules, one test each, on the in-process client over memory. The kinds here are made by hand, so that
//! a rule is seen without any kind's own rules around it.

mod basics;
mod create;
mod delete;
mod kinds;
mod patch;
mod read;
mod subresources;
mod update;
mod versions;
mod watch;

use crate::client::Client;
use crate::registry::{
    Context, Deletion, FieldValue, Generation, Hooks, NameRule, Plain, Resource, Rules, ScalePaths,
    Selectable, Strategy, Subresource, SubresourceKind, VerbSet,
};
use crate::request::Verb;
use crate::server::Server;
use crate::testing::{self, TestEnv};
use crate::user::User;
use alcove_object::{Gvk, Gvr, Value};
use alcove_schema::{Schema, Shape, Types};
use serde_json::json;
use std::sync::Arc;

/// A server with hand-made kinds, and the client that most tests use.
pub(super) struct World {
    pub server: Server,
    pub client: Client,
    pub env: Arc<TestEnv>,
}

impl World {
    pub async fn new() -> World {
        let env = Arc::new(TestEnv::new(7));
        let server = testing::server(resources(), env.clone());
        crate::bootstrap(&server, &[]).await.unwrap();
        let client = server.client(User::component("tester"), "tester");
        World { server, client, env }
    }
}

struct Namespaces;

impl Strategy for Namespaces {
    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        object["status"] = json!({"phase": "Active"});
        object["spec"]["finalizers"] = json!(["kubernetes"]);
    }

    fn prepare_subresource(&self, _: &Context<'_>, subresource: &str, object: &mut Value, old: &Value) {
        if subresource == "finalize" {
            object["status"] = old["status"].clone();
        }
    }
}

fn rules() -> Rules {
    Rules {
        names: NameRule::Subdomain,
        generation: Generation::None,
        create_on_update: false,
        unconditional_update: true,
        deletion: Deletion::Background,
        returns_deleted: false,
        status_resets: &[],
        warns: |_, _| Vec::new(),
        table_order: "",
    }
}

const READ_WRITE: VerbSet = VerbSet::of(&[Verb::Get, Verb::Update, Verb::Patch]);

fn resource(group: &str, version: &str, plural: &str, kind: &str) -> Resource {
    let mut types = Types::default();
    let schema =
        types.add(Schema { kinds: [Gvk::new(group, version, kind)].into(), ..Schema::of(Shape::Any) });
    let table = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    Resource {
        gvr: Gvr::new(group, version, plural),
        gvk: Gvk::new(group, version, kind),
        singular: kind.to_lowercase(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        verbs: VerbSet::ALL,
        subresources: Vec::new(),
        table: table.into(),
        stored: Gvk::new(group, version, kind),
        head: None,
        is_served: true,
        rules: rules(),
        selectable: Vec::new(),
        columns: Vec::new(),
        types: Arc::new(types),
        schema,
        strategy: Hooks::Static(&Plain),
        scale: ScalePaths::BUILT_IN,
        deprecation: None,
        gates: None,
        custom: None,
    }
}

fn subresource(name: &'static str, gvk: Gvk, verbs: VerbSet, kind: SubresourceKind) -> Subresource {
    Subresource { name, gvk, verbs, kind }
}

fn text_at(object: &Value, path: &str) -> String {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// config: nothing special. worker: spec, status, scale, generation. pod: grace, binding, eviction. strict: needs a
/// resourceVersion. upsert: PUT creates. namespace: finalizers in spec.
fn resources() -> Vec<Arc<Resource>> {
    let status = |gvk: &Gvk| subresource("status", gvk.clone(), READ_WRITE, SubresourceKind::Status);
    let namespaces = {
        let mut r = resource("", "v1", "namespaces", "Namespace");
        r.namespaced = false;
        r.rules.names = NameRule::Label;
        r.rules.deletion = Deletion::Namespace;
        r.subresources = vec![
            status(&r.gvk),
            subresource("finalize", r.gvk.clone(), VerbSet::of(&[Verb::Update]), SubresourceKind::Part),
        ];
        r.selectable = vec![Selectable {
            label: "status.phase".into(),
            index: "status.phase",
            value: FieldValue::Indexed(|o| text_at(o, "/status/phase")),
        }];
        r.strategy = Hooks::Static(&Namespaces);
        r
    };
    let workers = {
        let mut r = resource("apps", "v1", "workers", "Worker");
        r.rules.generation = Generation::Spec;
        let scale = Gvk::new("autoscaling", "v1", "Scale");
        r.subresources =
            vec![status(&r.gvk), subresource("scale", scale, READ_WRITE, SubresourceKind::Scale)];
        r
    };
    let pods = {
        let mut r = resource("", "v1", "pods", "Pod");
        r.rules.deletion = Deletion::Graceful;
        r.rules.returns_deleted = true;
        let (binding, eviction) = (Gvk::new("", "v1", "Binding"), Gvk::new("policy", "v1", "Eviction"));
        let create = VerbSet::of(&[Verb::Create]);
        r.subresources = vec![
            status(&r.gvk),
            subresource("binding", binding, create, SubresourceKind::Binding),
            subresource("eviction", eviction, create, SubresourceKind::Eviction),
        ];
        r.selectable = vec![Selectable {
            label: "spec.nodeName".into(),
            index: "spec.nodeName",
            value: FieldValue::Indexed(|o| text_at(o, "/spec/nodeName")),
        }];
        r
    };
    let strict = {
        let mut r = resource("apps", "v1", "stricts", "Strict");
        r.rules.unconditional_update = false;
        r
    };
    let upserts = {
        let mut r = resource("apps", "v1", "upserts", "Upsert");
        r.rules.create_on_update = true;
        r
    };
    let budgets = {
        let mut r = resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget");
        r.subresources = vec![status(&r.gvk)];
        r
    };
    let configs = resource("", "v1", "configs", "Config");
    [namespaces, configs, pods, workers, strict, upserts, budgets].into_iter().map(Arc::new).collect()
}

pub(super) fn gvr(plural: &str) -> Gvr {
    let found = resources().into_iter().find(|r| r.gvr.resource == plural);
    found.expect("a kind of these tests").gvr.clone()
}

/// A minimal object of one of these kinds.
pub(super) fn object(plural: &str, name: &str) -> Value {
    let found = resources().into_iter().find(|r| r.gvr.resource == plural).expect("a kind of these tests");
    json!({"apiVersion": found.gvk.api_version(), "kind": found.gvk.kind, "metadata": {"name": name}})
}
