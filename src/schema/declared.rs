//! What expressions see of objects of a kind that is served, built in or custom, when their types are checked
//! (k8s.io/apiserver/pkg/cel/common/schemas.go). Of sizes nothing is said: costs are not estimated from this.

use crate::limits::DEPTH_MAX;
use crate::{SchemaId, Shape, View};
use alcove_cel::{Decl, Field, Merge, Shape as Seen, Type, escape};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The declaration of a kind. Where a type contains itself, and below [`DEPTH_MAX`], anything goes.
pub fn declare(view: View<'_>) -> Arc<Decl> {
    declare_below(view, &mut Vec::new())
}

fn declare_below(view: View<'_>, above: &mut Vec<SchemaId>) -> Arc<Decl> {
    if above.len() >= DEPTH_MAX || above.contains(&view.id) {
        return Decl::anything();
    }
    above.push(view.id);
    let decl = declare_one(view, above);
    above.pop();
    decl
}

fn declare_one(view: View<'_>, above: &mut Vec<SchemaId>) -> Arc<Decl> {
    let scalar = |kind| Decl::scalar(kind, 1, 0);
    let mut inner = |id| declare_below(view.at(id), above);
    let shape = match view.shape() {
        Shape::Struct(fields) if fields.is_empty() && view.schema().preserve_unknown => {
            return Decl::anything();
        }
        Shape::Struct(fields) => {
            let fields = fields.iter().filter_map(|field| {
                let name = escape(&field.name)?;
                Some((name.into(), Field { json: field.name.clone(), decl: inner(field.schema) }))
            });
            Seen::Object(fields.collect::<BTreeMap<_, _>>())
        }
        Shape::Map(value) => Seen::Map(inner(*value)),
        Shape::List(item) => Seen::List(inner(*item), Merge::Atomic),
        Shape::String => match &*view.schema().format {
            "byte" => return scalar(Type::Bytes),
            "date" | "date-time" => return scalar(Type::Timestamp),
            "duration" => return scalar(Type::Duration),
            _ => return scalar(Type::String),
        },
        Shape::Bytes => return scalar(Type::Bytes),
        Shape::Time | Shape::MicroTime => return scalar(Type::Timestamp),
        Shape::Duration => return scalar(Type::String),
        Shape::Boolean => return scalar(Type::Bool),
        Shape::Int32 | Shape::Int64 => return scalar(Type::Int),
        Shape::Double => return scalar(Type::Double),
        Shape::IntOrString
        | Shape::Quantity
        | Shape::Any
        | Shape::BoolOr(_)
        | Shape::OneOrList(_)
        | Shape::OneOrStrings(_) => return Decl::anything(),
    };
    Arc::new(Decl { shape, elements_max: 0, bytes_min: 2 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Minor;
    use crate::builtin::types;
    use alcove_cel::{Program, Variable};
    use alcove_object::Gvk;

    #[test]
    fn fields_have_their_types() {
        let types = types(Minor::DEFAULT);
        for (kind, source, expected) in [
            (("apps", "v1", "Deployment"), "object.spec.replicas", "int"),
            (("apps", "v1", "Deployment"), "object.metadata.labels", "map(string, string)"),
            (("apps", "v1", "Deployment"), "object.metadata.creationTimestamp", "timestamp"),
            (("apps", "v1", "Deployment"), "object.spec.template.spec.containers[0].args", "list(string)"),
            (("apps", "v1", "Deployment"), "object.spec.strategy.rollingUpdate.maxSurge", "dyn"),
            (("", "v1", "Secret"), "object.data", "map(string, bytes)"),
            (("", "v1", "Pod"), "object.spec.hostname", "string"),
            (("", "v1", "Pod"), "object.spec.none", "undefined field 'none'"),
        ] {
            let decl = declare(types.kind(&Gvk::new(kind.0, kind.1, kind.2)).unwrap());
            let found = match Program::compile(source, &[Variable::declared("object", &decl)]) {
                Ok(program) => program.result().to_string(),
                Err(issues) => issues.to_string(),
            };
            assert!(found.contains(expected), "{source}: {found}");
        }
        let definitions = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        declare(types.kind(&definitions).unwrap());
    }
}
