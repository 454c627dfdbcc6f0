//! A row: one built-in resource as data, and how it becomes a descriptor.
//!
//! A row starts as what most kinds are (namespaced, the eight usual verbs, no generation, names that are DNS
//! subdomains, PUT without a resourceVersion allowed, dependents collected in the background); its methods say what
//! differs. Facts: k8s.io/kubernetes/pkg/registry/*/*/{strategy,storage/storage}.go.

use crate::registry::{
    Column, Deletion, Gates, Generation, Hooks, NameRule, Plain, Resource, Rules, ScalePaths, Selectable,
    Strategy, Subresource, SubresourceKind, VerbSet,
};
use crate::request::Verb::{self, Connect, Create, Get, Patch, Update};
use alcove_object::{Gvk, Gvr};
use alcove_schema::{Minor, Types};
use std::sync::Arc;

/// get, patch and update: the verbs of status, scale and the parts.
const READ_WRITE: VerbSet = VerbSet::of(&[Get, Patch, Update]);

/// One built-in resource as data.
pub(super) struct Row {
    group: &'static str,
    version: &'static str,
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
    since: Minor,
    deprecation: Option<&'static str>,
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
        version,
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
        },
        selectable: &[],
        columns,
        strategy: &Plain,
        since: Minor::OLDEST,
        deprecation: None,
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
        let gvk = Gvk::new(self.group, self.version, self.kind);
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
            let gvk = Gvk::new(self.group, self.version, options);
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

    /// What is special about the kind.
    pub(super) fn strategy(mut self, strategy: &'static dyn Strategy) -> Row {
        self.strategy = strategy;
        self
    }

    /// The first minor that serves this version of the kind, where that is not the oldest.
    pub(super) fn since(mut self, minor: u8) -> Row {
        self.since = Minor(minor);
        self
    }

    /// What everybody is told who uses it.
    pub(super) fn deprecated(mut self, warning: &'static str) -> Row {
        self.deprecation = Some(warning);
        self
    }

    /// Whether a minor serves the resource.
    pub(super) fn is_served(&self, minor: Minor) -> bool {
        self.since <= minor
    }

    /// The descriptor, or the kind again when the types do not have it. `gates` are those of the minor.
    pub(super) fn resource(
        self,
        minor: Minor,
        types: &Arc<Types>,
        gates: &Arc<Gates>,
    ) -> Result<Resource, Gvk> {
        let gvk = Gvk::new(self.group, self.version, self.kind);
        let Some(schema) = types.kind(&gvk).map(|view| view.id) else { return Err(gvk) };
        let (group, version) = self.stored.unwrap_or((self.group, self.version));
        let stored = Gvr::new(group, version, self.plural);
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        Ok(Resource {
            gvr: Gvr::new(self.group, self.version, self.plural),
            singular: self.kind.to_lowercase(),
            short_names: owned(self.short_names),
            categories: owned(self.categories),
            namespaced: self.namespaced,
            verbs: self.verbs,
            subresources: self.subresources,
            table: stored.group_resource().into(),
            stored: Gvk::new(group, version, self.kind),
            rules: Rules { names: name_rule(minor, &gvk, self.rules.names), ..self.rules },
            selectable: self.selectable.to_vec(),
            columns: (self.columns)(),
            types: types.clone(),
            schema,
            strategy: Hooks::Static(self.strategy),
            scale: ScalePaths::BUILT_IN,
            deprecation: self.deprecation.map(str::to_owned),
            gates: gates.concern(schema).then(|| gates.clone()),
            custom: None,
            gvk,
        })
    }
}

/// Service names were DNS-1035 labels before 1.36 relaxed them (gate RelaxedServiceNameValidation).
fn name_rule(minor: Minor, gvk: &Gvk, rule: NameRule) -> NameRule {
    let relaxed = rule == NameRule::Label && gvk.group.is_empty() && gvk.kind == "Service";
    if relaxed && minor < Minor(36) { NameRule::Label1035 } else { rule }
}
