//! Expressions in CEL: the first line is one, the rest the JSON that it is about.

use super::parts;
use alcove_cel::{Decl, Field, Merge, Program, Shape, Type, Value, Variable, limits};
use std::sync::{Arc, LazyLock};

/// Data of which all is known.
static DECLARED: LazyLock<Arc<Decl>> = LazyLock::new(|| {
    let text = || Decl::scalar(Type::String, 2, 100);
    let number = || Decl::scalar(Type::Int, 1, 0);
    let list =
        |item, merge| Arc::new(Decl { shape: Shape::List(item, merge), elements_max: 10, bytes_min: 2 });
    let entries = Arc::new(Decl { shape: Shape::Map(text()), elements_max: 10, bytes_min: 2 });
    let port = object([("name", text()), ("port", number())]);
    object([
        ("name", text()),
        ("replicas", number()),
        ("ratio", Decl::scalar(Type::Double, 1, 0)),
        ("enabled", Decl::scalar(Type::Bool, 1, 0)),
        ("since", Decl::scalar(Type::Timestamp, 21, 32)),
        ("length", Decl::scalar(Type::Duration, 3, 32)),
        ("data", Decl::scalar(Type::Bytes, 2, 100)),
        ("tags", list(text(), Merge::Set)),
        ("ports", list(port, Merge::Map(Box::new(["name".into()])))),
        ("numbers", list(number(), Merge::Atomic)),
        ("labels", entries),
        ("either", Decl::scalar(Type::Dyn, 1, 400)),
    ])
});

fn object<const N: usize>(fields: [(&str, Arc<Decl>); N]) -> Arc<Decl> {
    let fields = fields.into_iter().map(|(name, decl)| (name.into(), Field { json: name.into(), decl }));
    Arc::new(Decl { shape: Shape::Object(fields.collect()), elements_max: 0, bytes_min: 2 })
}

/// An expression over data, once with all declared and once with nothing.
pub fn cel(input: &[u8]) {
    let [source, data] = parts(input);
    let Ok(source) = std::str::from_utf8(source) else { return };
    let data = serde_json::from_slice(data).unwrap_or_default();
    let declared = DECLARED.clone();
    let decls = [Some(&declared), None];
    for decl in decls {
        let variables = ["self", "oldSelf"].map(|name| match decl {
            Some(decl) => Variable::declared(name, decl),
            None => Variable::anything(name),
        });
        let Ok(program) = Program::compile(source, &variables) else { continue };
        let evaluate = || {
            let value = || Value::of(&data, decl.map(|decl| &**decl));
            let outcome = program.evaluate(&[("self", value()), ("oldSelf", value())], limits::CALL_COST_MAX);
            let is_value = outcome.result.is_ok();
            assert!(!is_value || outcome.cost <= limits::CALL_COST_MAX, "a value past the limit of costs");
            (format!("{:?}", outcome.result), outcome.cost)
        };
        assert_eq!(evaluate(), evaluate(), "evaluated twice");
    }
}
