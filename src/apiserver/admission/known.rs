//! What expressions of admission may speak of, and of which types it is
//! (k8s.io/apiserver/pkg/admission/plugin/cel/compile.go).

use alcove_cel::{AUTHORIZER, Decl, Field, Merge, RESOURCE_CHECK, Shape, Type, Variable};
use std::sync::{Arc, LazyLock};

/// The types of the variables that differ from policy to policy; `None`: anything.
#[derive(Default)]
pub(super) struct Typed {
    pub object: Option<Arc<Decl>>,
    pub params: Option<Arc<Decl>>,
}

static REQUEST: LazyLock<Arc<Decl>> = LazyLock::new(request);
static NAMESPACE: LazyLock<Arc<Decl>> = LazyLock::new(namespace);

/// The variables, with objects and parameters of any type.
pub(super) fn known(has_params: bool) -> Vec<Variable> {
    let mut all = typed(&Typed::default(), has_params);
    all.push(Variable::of("authorizer.requestResource", Type::Opaque(RESOURCE_CHECK)));
    all
}

/// The variables as they are when types are checked.
pub(super) fn typed(types: &Typed, has_params: bool) -> Vec<Variable> {
    let of = |name, decl: &Option<Arc<Decl>>| match decl {
        Some(decl) => Variable::declared(name, decl),
        None => Variable::anything(name),
    };
    let mut all = vec![
        of("object", &types.object),
        of("oldObject", &types.object),
        Variable::declared("request", &REQUEST),
        Variable::declared("namespaceObject", &NAMESPACE),
        Variable::of("authorizer", Type::Opaque(AUTHORIZER)),
    ];
    all.extend(has_params.then(|| of("params", &types.params)));
    all
}

fn scalar(kind: Type) -> Arc<Decl> {
    Decl::scalar(kind, 1, 0)
}

fn list(item: Arc<Decl>) -> Arc<Decl> {
    Arc::new(Decl { shape: Shape::List(item, Merge::Atomic), elements_max: 0, bytes_min: 2 })
}

fn map(value: Arc<Decl>) -> Arc<Decl> {
    Arc::new(Decl { shape: Shape::Map(value), elements_max: 0, bytes_min: 2 })
}

fn object(texts: &[&str], others: Vec<(&str, Arc<Decl>)>) -> Arc<Decl> {
    let texts = texts.iter().map(|name| (*name, scalar(Type::String)));
    let field = |(name, decl): (&str, Arc<Decl>)| (name.into(), Field { json: name.into(), decl });
    let fields = texts.chain(others).map(field).collect();
    Arc::new(Decl { shape: Shape::Object(fields), elements_max: 0, bytes_min: 2 })
}

fn request() -> Arc<Decl> {
    let kind = || object(&["group", "version", "kind"], Vec::new());
    let resource = || object(&["group", "version", "resource"], Vec::new());
    let texts = || list(scalar(Type::String));
    let user = object(&["username", "uid"], vec![("groups", texts()), ("extra", map(texts()))]);
    object(
        &["subResource", "requestSubResource", "name", "namespace", "operation"],
        vec![
            ("kind", kind()),
            ("resource", resource()),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("userInfo", user),
            ("dryRun", scalar(Type::Bool)),
            ("options", Decl::anything()),
        ],
    )
}

/// Parts of a namespace, `metadata.UID` as upstream spells it.
fn namespace() -> Arc<Decl> {
    let texts = || list(scalar(Type::String));
    let time = || scalar(Type::Timestamp);
    let metadata = object(
        &["name", "generateName", "namespace", "UID", "resourceVersion"],
        vec![
            ("labels", map(scalar(Type::String))),
            ("annotations", map(scalar(Type::String))),
            ("creationTimestamp", time()),
            ("deletionTimestamp", time()),
            ("deletionGracePeriodSeconds", scalar(Type::Int)),
            ("generation", scalar(Type::Int)),
            ("finalizers", texts()),
        ],
    );
    let condition = object(&["status", "type", "message", "reason"], vec![("lastTransitionTime", time())]);
    object(
        &[],
        vec![
            ("metadata", metadata),
            ("spec", object(&[], vec![("finalizers", texts())])),
            ("status", object(&["phase"], vec![("conditions", list(condition))])),
        ],
    )
}
