//! A row: one built-in resource as data, and how it becomes a descriptor.
//!
//! A row starts as what most kinds are (namespaced, the eight usual verbs, no generation, names that are DNS
//! subdomains, PUT without a resourceVersion allowed, dependents collected in the background); its methods say what
//! differs. Facts: k8s.io/kubernetes/pkg/registry/*/*/{strategy,storage/storage}.go.

use crate::registry::{
    Column, Deletion, Gates, Generation, Hooks, NameRule, Plain, Resource, Rules, ScalePaths, Selectable,
    Strategy, Subresource, SubresourceKind, VerbSet, head,
};
use crate::request::Verb::{self, Connect, Create, Get, Patch, Update};
use alcove_object::{Gvk, Gvr, Value};
use alcove_schema::{Minor, Types};
use std::sync::Arc;

/// get, patch and update: the verbs of status, scale and the parts.
const READ_WRITE: VerbSet = VerbSet::of(&[Get, Patch, Update]);

/// One built-in resource as data.
pub(super) struct Row {
    group: &'static str,
    /// Preferred first. Objects are stored in the first one that a minor knows.
    versions: Vec<&'static str>,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
    verbs: VerbSet,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    subresources: Vec<Subresource>,
    stored: Option<(&'static str, &'static str)>,
    rules: Rules,
    selectable: &'static [Selectable],
    columns: fn() -> Vec<Column>,
    strategy: &'static dyn Strategy,
    /// A version in which objects have another form, with its strategy.
    older: Option<(&'static str, &'static dyn Strategy)>,
}

/// A row of a namespaced resource in which nothing is special.
pub(super) fn row(
    api: &'static str,
    plural: &'static str,
    kind: &'static str,
    columns: fn() -> Vec<Column>,
) -> Row {
    let (group, version) = alcove_object::gvk::split_api_version(api);
    Row {
        group,
        versions: vec![version],
        plural,
        kind,
        namespaced: true,
        verbs: VerbSet::ALL,
        short_names: &[],
        categories: &[],
        subresources: Vec::new(),
        stored: None,
        rules: Rules {
            names: NameRule::Subdomain,
            generation: Generation::None,
            create_on_update: false,
            unconditional_update: true,
            deletion: Deletion::Background,
            returns_deleted: false,
            status_resets: &[],
            warns: |_, _| Vec::new(),
            table_order: "",
        },
        selectable: &[],
        columns,
        strategy: &Plain,
        older: None,
    }
}

impl Row {
    /// Objects do not live in namespaces.
    pub(super) fn cluster(mut self) -> Row {
        self.namespaced = false;
        self
    }

    /// The verbs, where they are not the usual eight.
    pub(super) fn verbs(mut self, verbs: &[Verb]) -> Row {
        self.verbs = VerbSet::of(verbs);
        self
    }

    /// Short names.
    pub(super) fn short(mut self, names: &'static [&'static str]) -> Row {
        self.short_names = names;
        self
    }

    /// Categories.
    pub(super) fn categories(mut self, names: &'static [&'static str]) -> Row {
        self.categories = names;
        self
    }

    /// Part of `kubectl get all`.
    pub(super) fn all(self) -> Row {
        self.categories(&["all"])
    }

    /// Has `status`.
    pub(super) fn status(self) -> Row {
        self.own("status", READ_WRITE, SubresourceKind::Status)
    }

    /// Has `status`, whose writes leave these parts of metadata alone; `metadata` is all of it.
    pub(super) fn status_but(mut self, kept: &'static [&'static str]) -> Row {
        self.rules.status_resets = kept;
        self.status()
    }

    /// Has `scale`.
    pub(super) fn scale(self) -> Row {
        self.other("scale", Gvk::new("autoscaling", "v1", "Scale"), READ_WRITE, SubresourceKind::Scale)
    }

    /// Has a subresource that reads and writes a part of the object.
    pub(super) fn part(self, name: &'static str) -> Row {
        self.own(name, READ_WRITE, SubresourceKind::Part)
    }

    /// Has a subresource whose bodies are the object itself.
    pub(super) fn own(self, name: &'static str, verbs: VerbSet, kind: SubresourceKind) -> Row {
        let gvk = Gvk::new(self.group, self.versions[0], self.kind);
        self.other(name, gvk, verbs, kind)
    }

    /// Has a subresource whose bodies are of another kind.
    pub(super) fn other(
        mut self,
        name: &'static str,
        gvk: Gvk,
        verbs: VerbSet,
        kind: SubresourceKind,
    ) -> Row {
        self.subresources.push(Subresource { name, gvk, verbs, kind });
        self
    }

    /// Has a subresource that takes objects of another kind by POST alone.
    pub(super) fn posts(self, name: &'static str, gvk: Gvk, kind: SubresourceKind) -> Row {
        self.other(name, gvk, VerbSet::of(&[Create]), kind)
    }

    /// Has subresources that connect to something that runs.
    pub(super) fn connects(mut self, names: &[(&'static str, &'static str)]) -> Row {
        for &(name, options) in names {
            let gvk = Gvk::new(self.group, self.versions[0], options);
            self = self.other(name, gvk, VerbSet::of(&[Connect]), SubresourceKind::Connect);
        }
        self
    }

    /// What names must look like, where that is not a DNS subdomain.
    pub(super) fn names(mut self, rule: NameRule) -> Row {
        self.rules.names = rule;
        self
    }

    /// Counts changes of `spec`.
    pub(super) fn counts_spec(mut self) -> Row {
        self.rules.generation = Generation::Spec;
        self
    }

    /// Counts changes of everything but metadata and status.
    pub(super) fn counts_all(mut self) -> Row {
        self.rules.generation = Generation::AllButStatus;
        self
    }

    /// When changes are counted, where that is special.
    pub(super) fn counts(mut self, generation: Generation) -> Row {
        self.rules.generation = generation;
        self
    }

    /// PUT and apply may create.
    pub(super) fn creates_on_update(mut self) -> Row {
        self.rules.create_on_update = true;
        self
    }

    /// PUT needs a resourceVersion.
    pub(super) fn conditional(mut self) -> Row {
        self.rules.unconditional_update = false;
        self
    }

    /// How objects go, where that is not at once with dependents collected in the background.
    pub(super) fn deletion(mut self, deletion: Deletion) -> Row {
        self.rules.deletion = deletion;
        self
    }

    /// DELETE answers with the object.
    pub(super) fn returns_deleted(mut self) -> Row {
        self.rules.returns_deleted = true;
        self
    }

    /// Lives in the table of another resource of the same plural, as another kind's group and version.
    pub(super) fn stored_as(mut self, group: &'static str, version: &'static str) -> Row {
        self.stored = Some((group, version));
        self
    }

    /// Field selectors beside name and namespace.
    pub(super) fn selectable(mut self, fields: &'static [Selectable]) -> Row {
        self.selectable = fields;
        self
    }

    /// Clients are warned of what stands in the objects.
    pub(super) fn warns(mut self, warns: fn(&Value, Option<&Value>) -> Vec<String>) -> Row {
        self.rules.warns = warns;
        self
    }

    /// What is special about the kind.
    pub(super) fn strategy(mut self, strategy: &'static dyn Strategy) -> Row {
        self.strategy = strategy;
        self
    }

    /// Rows of tables go by the number at this place.
    pub(super) fn ordered(mut self, by: &'static str) -> Row {
        self.rules.table_order = by;
        self
    }

    /// The same objects in further versions, preferred first. Which minor has which follows from its types.
    pub(super) fn also(mut self, versions: &[&'static str]) -> Row {
        self.versions.extend(versions);
        self
    }

    /// What is special about the kind in a version in which its objects have another form.
    pub(super) fn older(mut self, version: &'static str, strategy: &'static dyn Strategy) -> Row {
        self.older = Some((version, strategy));
        self
    }

    /// Name of the resource.
    pub(super) fn plural(&self) -> &'static str {
        self.plural
    }

    /// The descriptor of a version; nothing if the row or the types of the minor do not have it. `gates` are those of the
    /// minor.
    pub(super) fn resource(
        &self,
        version: &str,
        minor: Minor,
        types: &Arc<Types>,
        gates: &Arc<Gates>,
    ) -> Option<Resource> {
        let kind = |version: &str| Gvk::new(self.group, version, self.kind);
        let version = self.versions.iter().find(|known| **known == version)?;
        let gvk = kind(version);
        let schema = types.kind(&gvk)?.id;
        let newest = self.versions.iter().find(|version| types.kind(&kind(version)).is_some())?;
        let (group, newest) = self.stored.unwrap_or((self.group, newest));
        let stored = Gvr::new(group, newest, self.plural);
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        let older = self.older.filter(|(older, _)| older == version);
        let has_versions = self.versions.len() > 1 || self.stored.is_some();
        Some(Resource {
            gvr: Gvr::new(self.group, *version, self.plural),
            is_served: true,
            head: has_versions.then(|| head(&gvk)),
            singular: self.kind.to_lowercase(),
            short_names: owned(self.short_names),
            categories: owned(self.categories),
            namespaced: self.namespaced,
            verbs: self.verbs,
            subresources: self.subresources.iter().map(|sub| self.subresource(sub, version)).collect(),
            table: stored.group_resource().into(),
            stored: Gvk::new(group, newest, self.kind),
            rules: Rules { names: name_rule(minor, &gvk, self.rules.names), ..self.rules.clone() },
            selectable: self.selectable.to_vec(),
            columns: (self.columns)(),
            types: types.clone(),
            schema,
            strategy: Hooks::Static(older.map_or(self.strategy, |(_, strategy)| strategy)),
            scale: ScalePaths::BUILT_IN,
            deprecation: types.end(&gvk).filter(|end| end.deprecated <= minor).map(|end| end.warning(&gvk)),
            gates: gates.concern(schema).then(|| gates.clone()),
            custom: None,
            gvk,
        })
    }

    /// A subresource as a version has it: bodies that are the object itself are of that version.
    fn subresource(&self, sub: &Subresource, version: &str) -> Subresource {
        let is_own = sub.gvk.group == self.group && sub.gvk.version == self.versions[0];
        match is_own {
            true => Subresource { gvk: Gvk::new(self.group, version, &*sub.gvk.kind), ..sub.clone() },
            false => sub.clone(),
        }
    }
}

/// Service names were DNS-1035 labels before 1.36 relaxed them (gate RelaxedServiceNameValidation).
fn name_rule(minor: Minor, gvk: &Gvk, rule: NameRule) -> NameRule {
    let relaxed = rule == NameRule::Label && gvk.group.is_empty() && gvk.kind == "Service";
    if relaxed && minor < Minor(36) { NameRule::Label1035 } else { rule }
}
