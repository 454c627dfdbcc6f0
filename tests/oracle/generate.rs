//! Objects that nobody wrote: values of a type, and small changes of values that somebody did write. All of it follows
//! from a seed.

use alcove_object::Value;
use alcove_schema::{Field, Shape, View};
use serde_json::{Map, json};

/// How deep generated values nest: deep enough for a probe of a container of a template of a template.
const DEPTH_MAX: usize = 14;

/// A source of small numbers (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// Dice for the `index`th object of a run.
    pub fn new(seed: u64, index: usize) -> Dice {
        let mut dice = Dice(seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.roll(1);
        dice
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())].clone()
    }
}

/// A value of this type, as a client could write it.
pub fn sample(view: View<'_>, dice: &mut Dice, depth: usize) -> Value {
    let allowed = &view.schema().allowed;
    if !allowed.is_empty() && dice.roll(8) > 0 {
        return dice.pick(allowed);
    }
    match view.shape() {
        Shape::Struct(fields) => {
            let mut map = Map::new();
            for field in fields {
                // Sparser the deeper, so that values end.
                if depth < DEPTH_MAX && dice.roll(2 + depth / 2) == 0 {
                    map.insert(field.name.to_string(), sample_field(view, field, dice, depth + 1));
                }
            }
            Value::Object(map)
        }
        Shape::Map(item) => {
            let keys = dice.pick(&[&["a"][..], &["example.com/b", "a"], &["cpu", "memory"]]);
            keys.iter().map(|key| ((*key).to_owned(), sample(view.at(*item), dice, depth + 1))).collect()
        }
        Shape::List(item) => (0..=dice.roll(2)).map(|_| sample(view.at(*item), dice, depth + 1)).collect(),
        Shape::BoolOr(schema) => match dice.roll(3) {
            0 => sample(view.at(*schema), dice, depth + 3),
            roll => (roll == 1).into(),
        },
        Shape::OneOrList(schema) => match dice.roll(2) {
            0 => sample(view.at(*schema), dice, depth + 3),
            _ => json!([sample(view.at(*schema), dice, depth + 3)]),
        },
        Shape::OneOrStrings(schema) => match dice.roll(2) {
            0 => sample(view.at(*schema), dice, depth + 3),
            _ => json!(["a"]),
        },
        scalar => sample_scalar(scalar, dice),
    }
}

fn sample_scalar(shape: &Shape, dice: &mut Dice) -> Value {
    const TEXTS: [&str; 16] = [
        "",
        "a",
        "web",
        "example.com/x",
        "10.0.0.1",
        "fd00::1",
        "10.0.0.0/8",
        "/data",
        "TCP",
        "Always",
        "a.b.c",
        "Not_A-Label!",
        "*",
        "v1",
        "http",
        "x-x-x",
    ];
    match shape {
        Shape::String => dice.pick(&TEXTS).into(),
        Shape::Boolean => (dice.roll(2) == 0).into(),
        Shape::Int32 => dice.pick(&[0, 1, -1, 2, 5, 10, 80, 100, 8080, 65536, i32::MAX]).into(),
        Shape::Int64 => dice.pick(&[0, 1, -1, 2, 30, 600, 3600, 86400, i64::from(i32::MAX) + 1]).into(),
        Shape::Double => dice.pick(&[json!(0.5), json!(1.5), json!(-3.25)]),
        Shape::Bytes => dice.pick(&["AA==", "aGVsbG8=", "e30="]).into(),
        Shape::IntOrString => {
            dice.pick(&[json!(0), json!(1), json!(80), json!(-5), json!("25%"), json!("101%"), json!("http")])
        }
        Shape::Quantity => dice.pick(&["0", "100m", "1", "1Gi", "-5", "2k", "1500m"]).into(),
        Shape::Time => dice.pick(&["2001-11-21T09:30:00Z", "1990-01-31T23:59:59Z"]).into(),
        Shape::MicroTime => dice.pick(&["2001-11-21T09:30:00.000001Z", "1990-12-31T23:59:59.999999Z"]).into(),
        Shape::Duration => dice.pick(&["0s", "1h0m0s", "1m30s"]).into(),
        _ => dice.pick(&[json!({"a": 1}), json!({}), json!({"b": ["c"]})]),
    }
}

fn sample_field(view: View<'_>, field: &Field, dice: &mut Dice, depth: usize) -> Value {
    match (&*field.name, view.at(field.schema).shape()) {
        ("metadata", Shape::Struct(_)) => metadata(dice),
        ("apiVersion", _) => "v1".into(),
        (_, _) => sample(view.at(field.schema), dice, depth),
    }
}

fn metadata(dice: &mut Dice) -> Value {
    let mut metadata = json!({"name": dice.pick(&["a", "web", "x.y"])});
    if dice.roll(2) == 0 {
        metadata["labels"] = json!({"app": dice.pick(&["web", ""])});
    }
    if dice.roll(3) == 0 {
        metadata["annotations"] = json!({"example.com/note": "text"});
    }
    if dice.roll(2) == 0 {
        metadata["creationTimestamp"] = "2001-11-21T09:30:00Z".into();
    }
    metadata
}

/// Changes one thing in a value of this type: something is added, taken away, doubled or replaced. `false`: there was
/// nothing to change where the dice pointed.
pub fn mutate(value: &mut Value, view: View<'_>, dice: &mut Dice) -> bool {
    match (view.shape(), value) {
        (Shape::Struct(fields), Value::Object(map)) if !fields.is_empty() => {
            // Mostly what is there, since that is where rules are; now and then what is not.
            let present: Vec<&Field> = fields.iter().filter(|field| map.contains_key(&*field.name)).collect();
            if present.is_empty() || dice.roll(5) == 0 {
                let field = &fields[dice.roll(fields.len())];
                let value = sample_field(view, field, dice, DEPTH_MAX - 4);
                return map.insert(field.name.to_string(), value).is_none();
            }
            let field = present[dice.roll(present.len())];
            // Metadata and status are the same for many kinds: seldom.
            if matches!(&*field.name, "metadata" | "status") && dice.roll(5) > 0 {
                return false;
            }
            if dice.roll(8) == 0 {
                return map.remove(&*field.name).is_some();
            }
            map.get_mut(&*field.name).is_some_and(|child| mutate(child, view.at(field.schema), dice))
        }
        (Shape::List(item), Value::Array(items)) => mutate_list(items, view.at(*item), dice),
        (Shape::Map(item), Value::Object(map)) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            if keys.is_empty() || dice.roll(4) == 0 {
                let key = dice.pick(&["b", "Bad Key!", "", "example.com/c", "storage"]);
                return map.insert(key.to_owned(), sample(view.at(*item), dice, DEPTH_MAX - 4)).is_none();
            }
            let key = dice.pick(&keys);
            match dice.roll(4) {
                0 => map.remove(&key).is_some(),
                _ => map.get_mut(&key).is_some_and(|child| mutate(child, view.at(*item), dice)),
            }
        }
        (_, value) => {
            let new = sample(view, dice, DEPTH_MAX - 4);
            let is_change = new != *value;
            *value = new;
            is_change
        }
    }
}

fn mutate_list(items: &mut Vec<Value>, item: View<'_>, dice: &mut Dice) -> bool {
    if items.is_empty() {
        items.push(sample(item, dice, DEPTH_MAX - 4));
        return true;
    }
    let at = dice.roll(items.len());
    match dice.roll(8) {
        0 => {
            items.remove(at);
            true
        }
        1 => {
            let double = items[at].clone();
            items.push(double);
            true
        }
        2 => {
            items.push(sample(item, dice, DEPTH_MAX - 4));
            true
        }
        _ => mutate(&mut items[at], item, dice),
    }
}
