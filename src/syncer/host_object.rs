//! A host object as a tree, read in one pass. The host's client wants to know of its metadata what tells one state of one
//! object from another; the rest of it is read nowhere but in the tree.

use alcove_object::{Value, meta};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// An object of any kind, as the host sent it.
#[derive(Clone, Debug)]
pub struct HostObject {
    tree: Value,
    metadata: ObjectMeta,
}

impl HostObject {
    /// The whole object.
    pub fn into_tree(self) -> Value {
        self.tree
    }
}

impl<'de> Deserialize<'de> for HostObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HostObject, D::Error> {
        let tree = Value::deserialize(deserializer)?;
        let text = |field| Some(meta::text(&tree, field)).filter(|text| !text.is_empty()).map(str::to_owned);
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(HostObject { tree, metadata })
    }
}

impl kube::Resource for HostObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::ResourceExt;
    use serde_json::json;

    #[test]
    fn the_tree_is_whole_and_the_client_knows_which_state_it_is() {
        let tree = json!({ "kind": "Pod", "metadata": { "name": "a", "resourceVersion": "7", "labels": { "x": "y" } },
            "spec": { "containers": [] } });
        let object: HostObject = serde_json::from_value(tree.clone()).unwrap();
        assert_eq!((object.name_any().as_str(), object.resource_version().as_deref()), ("a", Some("7")));
        assert_eq!(object.into_tree(), tree);
        assert!(serde_json::from_value::<HostObject>(json!({})).unwrap().uid().is_none());
    }
}
