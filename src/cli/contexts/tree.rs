//! Edits of a kubeconfig as a tree: what is not meant stays as it is.

use serde_json::{Value, json};

/// Our note on a context: an extension, which kubectl keeps.
const EXTENSION: &str = "alcove.dev/tenant";

/// A cluster, a user and a context under one name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Their name.
    pub name: String,
    /// As below `clusters[].cluster`.
    pub cluster: Value,
    /// As below `users[].user`.
    pub user: Value,
    /// The namespace of the context, if it has one.
    pub namespace: Option<String>,
    /// What we note on it.
    pub mark: Mark,
}

/// What a context of ours leads to, and where one goes back from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The tenant.
    pub tenant: String,
    /// Its namespace on the host.
    pub namespace: String,
    /// The host's context; `None` where the host was reached without one.
    pub parent: Option<String>,
    /// The context that was current before.
    pub previous: Option<String>,
}

impl Mark {
    /// Reads the note from an entry of `contexts`.
    pub fn of(context: &Value) -> Option<Mark> {
        let extensions = context.pointer("/context/extensions")?.as_array()?;
        let ours = extensions.iter().find(|extension| extension["name"] == EXTENSION)?.get("extension")?;
        let text = |key: &str| ours.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Mark {
            tenant: text("tenant")?,
            namespace: text("namespace")?,
            parent: text("parent"),
            previous: text("previous"),
        })
    }

    fn extension(&self) -> Value {
        let mut extension = json!({ "tenant": self.tenant, "namespace": self.namespace });
        for (key, value) in [("parent", &self.parent), ("previous", &self.previous)] {
            if let Some(value) = value {
                extension[key] = value.clone().into();
            }
        }
        json!({ "name": EXTENSION, "extension": extension })
    }
}

/// The current context of a file.
pub fn current(tree: &Value) -> Option<&str> {
    tree["current-context"].as_str().filter(|name| !name.is_empty())
}

/// Sets the current context, or none.
pub fn set_current(tree: &mut Value, name: Option<&str>) {
    match name {
        Some(name) => tree["current-context"] = name.into(),
        None => {
            tree.as_object_mut().map(|tree| tree.remove("current-context"));
        }
    }
}

/// The entry of this name in a list of named entries.
pub fn named<'a>(tree: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    tree[list].as_array()?.iter().find(|entry| entry["name"] == name)
}

fn put(tree: &mut Value, list: &str, entry: Value) {
    if !tree[list].is_array() {
        tree[list] = json!([]);
    }
    let Some(entries) = tree[list].as_array_mut() else { return };
    match entries.iter_mut().find(|known| known["name"] == entry["name"]) {
        Some(known) => *known = entry,
        None => entries.push(entry),
    }
}

/// Puts cluster, user and context in, in place of those of the same name.
pub fn put_entry(tree: &mut Value, entry: &Entry) {
    for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        if tree.get(key).is_none() {
            tree[key] = value.into();
        }
    }
    let mut context =
        json!({ "cluster": entry.name, "user": entry.name, "extensions": [entry.mark.extension()] });
    if let Some(namespace) = &entry.namespace {
        context["namespace"] = namespace.clone().into();
    }
    put(tree, "clusters", json!({ "name": entry.name, "cluster": entry.cluster }));
    put(tree, "users", json!({ "name": entry.name, "user": entry.user }));
    put(tree, "contexts", json!({ "name": entry.name, "context": context }));
}

/// Takes cluster, user and context of this name out.
pub fn drop_entry(tree: &mut Value, name: &str) {
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = tree[list].as_array_mut() {
            entries.retain(|entry| entry["name"] != name);
        }
    }
}
