//! Which ConfigMaps and Secrets a pod uses: those, and no others, are synced.

use alcove_apiserver::kinds::CONTAINER_LISTS;
use alcove_object::Value;
use alcove_object::tree::at_mut;
use std::collections::BTreeSet;

/// Names, in the pod's namespace, of what it uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
}

/// What kind of object a name refers to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Referent {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// Where names stand in one `env` or `envFrom` entry.
const ENV: [(&str, Referent); 2] = [
    ("/valueFrom/configMapKeyRef/name", Referent::ConfigMap),
    ("/valueFrom/secretKeyRef/name", Referent::Secret),
];
const ENV_FROM: [(&str, Referent); 2] =
    [("/configMapRef/name", Referent::ConfigMap), ("/secretRef/name", Referent::Secret)];
/// Where names stand in one volume. Drivers that take credentials name them each in their own way.
const VOLUME: [(&str, Referent); 11] = [
    ("/configMap/name", Referent::ConfigMap),
    ("/secret/secretName", Referent::Secret),
    ("/csi/nodePublishSecretRef/name", Referent::Secret),
    ("/iscsi/secretRef/name", Referent::Secret),
    ("/rbd/secretRef/name", Referent::Secret),
    ("/cephfs/secretRef/name", Referent::Secret),
    ("/cinder/secretRef/name", Referent::Secret),
    ("/azureFile/secretName", Referent::Secret),
    ("/scaleIO/secretRef/name", Referent::Secret),
    ("/storageos/secretRef/name", Referent::Secret),
    ("/flexVolume/secretRef/name", Referent::Secret),
];
const PROJECTION: [(&str, Referent); 2] =
    [("/configMap/name", Referent::ConfigMap), ("/secret/name", Referent::Secret)];
const PULL_SECRET: [(&str, Referent); 1] = [("/name", Referent::Secret)];

/// Calls `visit` with every name of a ConfigMap or Secret in a pod's spec, to be read or replaced.
pub fn visit(spec: &mut Value, visit: &mut dyn FnMut(Referent, &mut String)) {
    let mut at = |entry: &mut Value, places: &[(&str, Referent)]| {
        for (pointer, referent) in places {
            if let Some(Value::String(name)) = at_mut(entry, pointer) {
                visit(*referent, name);
            }
        }
    };
    for list in CONTAINER_LISTS {
        for container in items(spec.get_mut(list)) {
            items(container.get_mut("env")).for_each(|entry| at(entry, &ENV));
            items(container.get_mut("envFrom")).for_each(|entry| at(entry, &ENV_FROM));
        }
    }
    for volume in items(spec.get_mut("volumes")) {
        at(volume, &VOLUME);
        items(at_mut(volume, "/projected/sources")).for_each(|source| at(source, &PROJECTION));
    }
    items(spec.get_mut("imagePullSecrets")).for_each(|entry| at(entry, &PULL_SECRET));
}

/// The items of a list, none if it is no list.
pub fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

/// What a pod uses.
pub fn references(pod: &Value) -> References {
    let mut spec = pod["spec"].clone();
    let mut out = References::default();
    visit(&mut spec, &mut |referent, name| {
        let names = match referent {
            Referent::ConfigMap => &mut out.config_maps,
            Referent::Secret => &mut out.secrets,
        };
        names.insert(name.clone());
    });
    out
}
