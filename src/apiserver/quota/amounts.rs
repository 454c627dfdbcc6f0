//! Amounts by resource name, as `requests`, `limits` and quotas have them (k8s.io/apiserver/pkg/quota/v1).

use alcove_object::Value;
use alcove_object::gather::Gather;
use alcove_object::quantity::Quantity;
use std::collections::BTreeMap;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// Reads a map of quantities; what is no quantity is passed over.
pub fn read(map: Option<&Value>) -> Amounts {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value).ok()?))).gather()
}

/// Writes a map of quantities.
pub fn write(amounts: &Amounts) -> Value {
    Value::Object(amounts.iter().map(|(name, amount)| (name.clone(), amount.to_string().into())).gather())
}

/// Whether both hold the same names and amounts, however those are written.
pub fn equal(one: &Amounts, other: &Amounts) -> bool {
    one.len() == other.len() && one.iter().all(|(name, amount)| other.get(name) == Some(amount))
}

/// Adds each amount.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let entry = sum.entry(name.clone()).or_insert_with(|| Quantity::new(0, amount.format()));
        *entry = entry.add(amount);
    }
}

/// Takes the larger of each amount.
pub fn raise(sum: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let entry = sum.entry(name.clone()).or_insert_with(|| Quantity::new(0, amount.format()));
        if *entry < *amount {
            *entry = amount.clone();
        }
    }
}

/// By how much the first is more than the second; nothing is less than zero.
pub fn increase(from: &Amounts, to: &Amounts) -> Amounts {
    let more = to.iter().map(|(name, amount)| match from.get(name) {
        Some(before) => (name.clone(), amount.sub(before)),
        None => (name.clone(), amount.clone()),
    });
    more.filter(|(_, amount)| amount.signum() > 0).gather()
}

/// `cpu=1,memory=1Gi`, as upstream shows them.
pub fn text(amounts: &Amounts) -> String {
    let parts: Vec<String> = amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    parts.join(",")
}

/// What a pod's containers ask for in all: their sum, or more where one that runs before them needs more.
/// `of` tells what one container asks for.
pub fn of_containers(pod: &Value, of: &dyn Fn(&Value) -> Amounts) -> Amounts {
    let containers = |list: &str| pod["spec"][list].as_array().map_or(&[][..], Vec::as_slice);
    let mut sum = Amounts::new();
    for container in containers("containers") {
        add(&mut sum, &of(container));
    }
    let mut before = Amounts::new();
    let mut highest = Amounts::new();
    for container in containers("initContainers") {
        let own = of(container);
        // One that restarts stays beside all that come after it.
        if container["restartPolicy"] == "Always" {
            add(&mut sum, &own);
            add(&mut before, &own);
            raise(&mut highest, &before);
        } else {
            let mut now = before.clone();
            add(&mut now, &own);
            raise(&mut highest, &now);
        }
    }
    raise(&mut sum, &highest);
    sum
}
