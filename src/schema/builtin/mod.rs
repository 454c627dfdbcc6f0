//! The built-in kinds of every served minor, from one committed table.
//!
//! The table (`tables/builtin.txt`, written by `codegen/`) holds the facts of all minors at once; [`types`] builds the
//! arena of one. A text table and not Rust code, since a diff of it shows what a new minor changes, and since parsing
//! it takes a few milliseconds while compiling it would take minutes.

mod enabled;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use crate::{End, Field, Minor, Schema, SchemaId, Shape, Types};
use alcove_object::Gvk;
pub use enabled::{BadRuntimeConfig, Enabled};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use table::{Definition, FieldLine, KindLine, ListText, TableError};

const MINORS: usize = (Minor::NEWEST.0 - Minor::OLDEST.0 + 1) as usize;

/// The types of all built-in kinds of a minor. Built at the first call, then shared.
///
/// A minor that is not served counts as the nearest one that is.
pub fn types(minor: Minor) -> Arc<Types> {
    static BUILT: [OnceLock<Arc<Types>>; MINORS] = [const { OnceLock::new() }; MINORS];
    let minor = minor.clamp(Minor::OLDEST, Minor::NEWEST);
    let built = BUILT[usize::from(minor.0 - Minor::OLDEST.0)].get_or_init(|| {
        let types = build(table::TEXT, minor);
        Arc::new(types.expect("the committed table is well-formed for every minor: a test builds them all"))
    });
    built.clone()
}

/// Builds the arena of one minor. Definitions come first, as they stand in the table, then types without a name, of
/// which equal ones are one.
fn build(text: &str, minor: Minor) -> Result<Types, TableError> {
    let definitions = table::read(text, minor)?;
    let mut builder = Builder { types: Types::default(), named: HashMap::new(), unnamed: HashMap::new() };
    for definition in &definitions {
        let id = builder.types.add(Schema::of(Shape::Any));
        builder.named.insert(definition.name, id);
    }
    for definition in &definitions {
        let schema = builder.definition(definition)?;
        builder.types.replace(builder.named[definition.name], schema);
        for line in &definition.kinds {
            if let Some(deprecated) = line.deprecated {
                builder.types.ends(gvk(line), end(line, deprecated));
            }
        }
    }
    Ok(builder.types)
}

fn gvk(line: &KindLine<'_>) -> Gvk {
    Gvk::from_api_version(line.api_version, line.kind)
}

fn end(line: &KindLine<'_>, deprecated: u8) -> End {
    let replacement = line.replacement.and_then(|other| other.rsplit_once('/'));
    End {
        deprecated: Minor(deprecated),
        removed: line.removed.map(Minor),
        replacement: replacement.map(|(version, kind)| Gvk::from_api_version(version, kind)),
    }
}

struct Builder<'t> {
    types: Types,
    named: HashMap<&'t str, SchemaId>,
    unnamed: HashMap<UnnamedKey<'t>, SchemaId>,
}

/// What makes two types without a name equal: how the table writes them.
#[derive(PartialEq, Eq, Hash)]
struct UnnamedKey<'t> {
    text: &'t str,
    atomic: bool,
    allowed: &'t str,
}

impl<'t> Builder<'t> {
    fn definition(&mut self, definition: &Definition<'t>) -> Result<Schema, TableError> {
        let shape = match definition.shape {
            Some(text) => self.shape(text, "")?.0,
            None => {
                let fields = definition.fields.iter().map(|f| self.field(f));
                let mut fields = fields.collect::<Result<Vec<_>, _>>()?;
                fields.sort_by(|a, b| a.name.cmp(&b.name));
                Shape::Struct(fields.into())
            }
        };
        Ok(Schema {
            name: definition.name.into(),
            kinds: definition.kinds.iter().map(gvk).collect(),
            atomic: definition.atomic,
            unions: definition.unions.map(table::json).transpose()?.map(Box::new),
            ..Schema::of(shape)
        })
    }

    fn field(&mut self, line: &FieldLine<'t>) -> Result<Field, TableError> {
        let (number, within) = match line.numbers.split_last() {
            Some((number, within)) => (*number, within.into()),
            None => (0, [].into()),
        };
        Ok(Field {
            name: line.name.into(),
            number,
            schema: self.of(line.type_text, line.atomic, line.allowed)?,
            required: line.required,
            within,
            default: line.default.map(table::json).transpose()?,
            merge_key: line.merge_key.into(),
            patch_merge: line.patch_merge,
            granular: line.granular,
            retain_keys: line.retain_keys,
            patch_replace: line.patch_replace,
            pointer: line.pointer,
            omit: line.omit,
        })
    }

    /// The number of a type, added unless it is known.
    fn of(&mut self, text: &'t str, atomic: bool, allowed: &'t str) -> Result<SchemaId, TableError> {
        if let Some(name) = text.strip_prefix('@') {
            return self.named.get(name).copied().ok_or_else(|| TableError::new("unknown definition", name));
        }
        let key = UnnamedKey { text, atomic, allowed };
        if let Some(id) = self.unnamed.get(&key) {
            return Ok(*id);
        }
        let (shape, list) = self.shape(text, allowed)?;
        let holds_others = matches!(shape, Shape::List(_) | Shape::Map(_));
        let allowed =
            if allowed.is_empty() || holds_others { Vec::new() } else { table::json_list(allowed)? };
        let schema = Schema { allowed: allowed.into(), atomic, ..Schema::of(shape) };
        let schema = match list {
            Some(list) => Schema { list: list.kind, atomic: list.atomic, wrapped: list.wrapped, ..schema },
            None => schema,
        };
        let id = self.types.add(schema);
        self.unnamed.insert(key, id);
        Ok(id)
    }

    /// Reads a type other than a reference. The allowed values go to what lists and maps hold.
    fn shape(
        &mut self,
        text: &'t str,
        allowed: &'t str,
    ) -> Result<(Shape, Option<ListText<'t>>), TableError> {
        if let Some(list) = table::list(text)? {
            let item = self.of(list.item, false, allowed)?;
            return Ok((Shape::List(item), Some(list)));
        }
        let shape = match table::brackets(text) {
            Some(("", '{', value)) => Shape::Map(self.of(value, false, allowed)?),
            Some(("boolor", '(', value)) => Shape::BoolOr(self.of(value, false, "")?),
            Some(("oneorlist", '(', value)) => Shape::OneOrList(self.of(value, false, "")?),
            Some(("oneorstrings", '(', value)) => Shape::OneOrStrings(self.of(value, false, "")?),
            _ => scalar(text).ok_or_else(|| TableError::new("unknown type", text))?,
        };
        Ok((shape, None))
    }
}

fn scalar(text: &str) -> Option<Shape> {
    Some(match text {
        "string" => Shape::String,
        "boolean" => Shape::Boolean,
        "int32" => Shape::Int32,
        "int64" => Shape::Int64,
        "double" => Shape::Double,
        "bytes" => Shape::Bytes,
        "intorstring" => Shape::IntOrString,
        "quantity" => Shape::Quantity,
        "time" => Shape::Time,
        "microtime" => Shape::MicroTime,
        "duration" => Shape::Duration,
        "any" => Shape::Any,
        _ => return None,
    })
}
