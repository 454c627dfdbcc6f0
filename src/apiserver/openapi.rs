//! OpenAPI documents of what is served: built when somebody asks, kept compressed until the registry changes.
//!
//! Entity tags and `?hash=` values come from what a document is made of (the served rows and the version), not from its
//! bytes: so the index is there at once, and a document nobody asks for is never built.

use crate::discovery::{subresource_verbs, verb_names};
use crate::registry::{Registry, Resource, Subresource, SubresourceKind};
use crate::version;
use alcove_object::gvk::join_api_version;
use alcove_schema::openapi::{self, Body, GroupVersion, ResourcePaths, SubresourcePaths};
use alcove_schema::{Minor, Types};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// The newest documents, made again when the registry has changed.
#[derive(Default)]
pub struct OpenApi {
    newest: ArcSwapOption<Documents>,
}

impl OpenApi {
    /// The documents of this registry.
    pub fn documents(&self, registry: Arc<Registry>, minor: Minor) -> Arc<Documents> {
        if let Some(newest) =
            self.newest.load_full().filter(|newest| Arc::ptr_eq(&newest.registry, &registry))
        {
            return newest;
        }
        let made = Arc::new(Documents::new(registry, minor));
        self.newest.store(Some(made.clone()));
        made
    }
}

/// The documents of one registry.
pub struct Documents {
    registry: Arc<Registry>,
    types: Arc<Types>,
    version: String,
    groups: Vec<Group>,
    /// The answer to `/openapi/v3`.
    pub index: Bytes,
    /// Entity tag of the index and of version 2, without quotes.
    pub hash: String,
    v2_json: OnceLock<Bytes>,
    v2_protobuf: OnceLock<Bytes>,
}

/// The version 3 document of one group-version.
struct Group {
    /// Below `/openapi/v3/`: `api/v1`, `apis/apps/v1`.
    path: String,
    hash: String,
    /// `None`: another server serves it, and its document is here.
    served: Option<GroupVersion>,
    json: OnceLock<Bytes>,
}

impl Documents {
    fn new(registry: Arc<Registry>, minor: Minor) -> Documents {
        let version = version::git_version(minor);
        let mut served: Vec<GroupVersion> = Vec::new();
        for resource in registry.resources() {
            let gvr = &resource.gvr;
            let paths = resource_paths(resource);
            match served.iter_mut().find(|gv| gv.group == gvr.group && gv.version == gvr.version) {
                Some(gv) => gv.resources.push(paths),
                None => served.push(GroupVersion {
                    group: gvr.group.clone(),
                    version: gvr.version.clone(),
                    resources: vec![paths],
                }),
            }
        }
        let mut groups: Vec<Group> = served.into_iter().map(|served| Group::new(served, &version)).collect();
        for remote in registry.remotes() {
            let path = remote.path().trim_start_matches('/').to_owned();
            groups.retain(|group| group.path != path);
            if let Some((hash, json)) = remote.known.v3.clone() {
                groups.push(Group { path, hash, served: None, json: OnceLock::from(json) });
            }
        }
        let index = openapi::v3::index(groups.iter().map(|group| (group.path.as_str(), group.hash.as_str())));
        let index = Bytes::from(index.to_string());
        Documents {
            types: registry.resources().first().map_or_else(Arc::default, |resource| resource.types.clone()),
            registry,
            version,
            hash: openapi::hash(&index),
            index,
            groups,
            v2_json: OnceLock::new(),
            v2_protobuf: OnceLock::new(),
        }
    }

    /// The hash of a version 3 document; `None` if there is none at the path (`apis/apps/v1`).
    pub fn v3_hash(&self, path: &str) -> Option<&str> {
        self.group(path).map(|group| group.hash.as_str())
    }

    fn group(&self, path: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.path == path)
    }

    /// A version 3 document in gzipped JSON. The first call builds it, which takes some ten milliseconds.
    pub fn v3(&self, path: &str) -> Option<Bytes> {
        let group = self.group(path)?;
        let Some(served) = &group.served else { return group.json.get().cloned() };
        let build = || gzipped(openapi::v3::document(&self.types, served).to_string().as_bytes());
        Some(group.json.get_or_init(build).clone())
    }

    /// The version 2 document in gzipped JSON. The first call builds it, which takes some hundred milliseconds.
    pub fn v2_json(&self) -> Bytes {
        self.v2_json.get_or_init(|| gzipped(self.v2().to_string().as_bytes())).clone()
    }

    /// The version 2 document in gzipped protobuf. The first call builds it.
    pub fn v2_protobuf(&self) -> Bytes {
        self.v2_protobuf.get_or_init(|| gzipped(&openapi::v2::to_protobuf(&self.v2()))).clone()
    }

    fn v2(&self) -> serde_json::Value {
        let served: Vec<GroupVersion> = self.groups.iter().filter_map(|group| group.served.clone()).collect();
        let mut document = openapi::v2::document(&self.types, &served, &self.version);
        for remote in self.registry.remotes().iter().filter_map(|remote| remote.known.v2.as_deref()) {
            for field in ["paths", "definitions"] {
                let (Some(all), Some(more)) = (document[field].as_object_mut(), remote[field].as_object())
                else {
                    continue;
                };
                // Of types that both have, ours are told: they are those of the libraries that everybody uses.
                for (key, value) in more {
                    all.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        document
    }
}

impl Group {
    fn new(served: GroupVersion, version: &str) -> Group {
        let api_version = join_api_version(&served.group, &served.version);
        let prefix = if served.group.is_empty() { "api" } else { "apis" };
        let hash = openapi::hash(format!("{version} {served:?}").as_bytes());
        Group { path: format!("{prefix}/{api_version}"), hash, served: Some(served), json: OnceLock::new() }
    }
}

fn gzipped(bytes: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).expect("writing into memory does not fail");
    gzip.finish().expect("writing into memory does not fail").into()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn resource_paths(resource: &Resource) -> ResourcePaths {
    ResourcePaths {
        plural: resource.gvr.resource.clone(),
        kind: resource.gvk.kind.clone(),
        namespaced: resource.namespaced,
        verbs: owned(&verb_names(resource.verbs)),
        returns_deleted: resource.rules.returns_deleted,
        body: match &resource.custom {
            None => Body::BuiltIn,
            Some(custom) => Body::Custom {
                schema: custom.schema.clone(),
                list_kind: custom.list_kind.clone(),
                selectable: custom.selectable.clone(),
            },
        },
        subresources: resource.subresources.iter().map(subresource_paths).collect(),
    }
}

fn subresource_paths(sub: &Subresource) -> SubresourcePaths {
    // Logs are read like an object; other connections take methods, not verbs.
    let connect: &[&str] = match (sub.kind, sub.name) {
        (SubresourceKind::Connect, "log") => &[],
        (SubresourceKind::Connect, "proxy") => &["delete", "get", "head", "options", "patch", "post", "put"],
        (SubresourceKind::Connect, _) => &["get", "post"],
        _ => &[],
    };
    let verbs = if connect.is_empty() { owned(&subresource_verbs(sub)) } else { Vec::new() };
    SubresourcePaths { name: sub.name.to_owned(), gvk: sub.gvk.clone(), verbs, connect: owned(connect) }
}
