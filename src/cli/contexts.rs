//! The user's kubeconfig files: which they are, what they say together, and edits that lose nothing.
//!
//! The rules of finding and merging are kubectl's (k8s.io/client-go/tools/clientcmd): `--kubeconfig` is the one file;
//! else those of `$KUBECONFIG`, of which the first that sets something wins; else `~/.kube/config`. What is new goes to
//! the first file that is there. An edit changes the entries it means and keeps all others, known or not; it is whole
//! or not made, and `FILE.lock` keeps kubectl from writing at the same time.

mod file;
mod tree;

pub use tree::{Entry, Mark};

use alcove_syncer::kubeconfig;
use kube::config::Kubeconfig;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What is wrong with the user's kubeconfig files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no kubeconfig at {looked}; say where it is with --kubeconfig or $KUBECONFIG")]
    Missing { looked: String },
    #[error("there is no place for a kubeconfig: set $HOME, $KUBECONFIG or --kubeconfig")]
    NoHome,
    #[error("the kubeconfig {path} cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "the kubeconfig {path} is not understood ({detail}); mend it, or choose another with --kubeconfig"
    )]
    Parse { path: PathBuf, detail: String },
    #[error("the kubeconfig {path} cannot be written: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the kubeconfig {path} is locked: another program writes it, or one ended while it did; remove {path}.lock if none does", path = path.display())]
    Locked { path: PathBuf },
    #[error("the kubeconfig has no current context; choose one with --context{}", listed(known))]
    NoContext { known: Vec<String> },
    #[error("the kubeconfig has no context {name:?}{}", listed(known))]
    UnknownContext { name: String, known: Vec<String> },
    #[error("the kubeconfig cannot be used: {0}")]
    Unusable(String),
}

fn listed(known: &[String]) -> String {
    match known {
        [] => String::new(),
        known => format!("; there are {}", known.join(", ")),
    }
}

/// The user's kubeconfig files, in the order in which they count.
#[derive(Clone, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
}

impl Files {
    /// Those that the flag, the environment or the home directory name. Errors: there is none of these.
    pub fn find(flag: Option<&Path>) -> Result<Files, Error> {
        if let Some(path) = flag {
            return match path.exists() {
                true => Ok(Files { paths: vec![path.to_owned()] }),
                false => Err(Error::Missing { looked: path.display().to_string() }),
            };
        }
        let variable = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let named = std::env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty());
        let mut paths: Vec<PathBuf> = named.collect();
        if paths.is_empty() {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).ok_or(Error::NoHome)?;
            paths.push(PathBuf::from(home).join(".kube/config"));
        }
        Ok(Files { paths })
    }

    /// Whether any of the files is there.
    pub fn exist(&self) -> bool {
        self.paths.iter().any(|path| path.exists())
    }

    /// The files as a person names them.
    pub fn named(&self) -> String {
        self.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Where new entries go: the first file that is there, else the last.
    pub fn target(&self) -> &Path {
        let first = self.paths.iter().find(|path| path.exists());
        first.or(self.paths.last()).expect("`find` gives at least one path")
    }

    fn present(&self) -> impl Iterator<Item = &PathBuf> {
        self.paths.iter().filter(|path| path.exists())
    }

    fn trees(&self) -> Result<Vec<(&PathBuf, Value)>, Error> {
        self.present().map(|path| Ok((path, file::read(path)?))).collect()
    }

    /// What all files say together, for a client.
    pub fn merged(&self) -> Result<Kubeconfig, Error> {
        if !self.exist() {
            return Err(Error::Missing { looked: self.named() });
        }
        self.present().try_fold(Kubeconfig::default(), |merged, path| {
            let wrong = |detail: String| Error::Parse { path: path.clone(), detail };
            let mut tree = file::read(path)?;
            kubeconfig::resolve(&mut tree, path.parent().unwrap_or(Path::new("")));
            let next = kubeconfig::from_tree(tree).map_err(wrong)?;
            merged.merge(next).map_err(|error| wrong(error.to_string()))
        })
    }

    /// The current context.
    pub fn current(&self) -> Result<Option<String>, Error> {
        Ok(self.trees()?.iter().find_map(|(_, tree)| tree::current(tree).map(str::to_owned)))
    }

    /// What we noted on a context when we made it; `None` for contexts of others.
    pub fn mark(&self, context: &str) -> Result<Option<Mark>, Error> {
        let trees = self.trees()?;
        let found = trees.iter().find_map(|(_, tree)| tree::named(tree, "contexts", context));
        Ok(found.and_then(Mark::of))
    }

    /// All contexts that we made, with what we noted on them.
    pub fn marks(&self) -> Result<Vec<(String, Mark)>, Error> {
        let trees = self.trees()?;
        let contexts = trees.iter().flat_map(|(_, tree)| tree["contexts"].as_array().into_iter().flatten());
        let marked = contexts.filter_map(|c| Some((c["name"].as_str()?.to_owned(), Mark::of(c)?)));
        Ok(marked.collect())
    }

    /// Puts an entry in, in place of one of the same name, and makes it current if asked to.
    pub fn add(&self, entry: &Entry, make_current: bool) -> Result<(), Error> {
        let target = self.target().to_owned();
        // An older entry in a file that counts less would be shadowed, one in a file that counts more would win.
        for path in self.present().filter(|path| **path != target) {
            file::edit(path, |tree| tree::drop_entry(tree, &entry.name))?;
        }
        file::edit(&target, |tree| {
            tree::put_entry(tree, entry);
            if make_current {
                tree["current-context"] = entry.name.clone().into();
            }
        })
    }

    /// Takes an entry of ours out, and goes back to the context that was current before it. Gives what is current then.
    pub fn remove(&self, context: &str) -> Result<Option<String>, Error> {
        let mark = self.mark(context)?;
        let was_current = self.current()?.as_deref() == Some(context);
        for path in self.present() {
            file::edit(path, |tree| tree::drop_entry(tree, context))?;
        }
        if was_current {
            let known = |name: &String| self.context_exists(name);
            let back = mark.into_iter().flat_map(|mark| [mark.previous, mark.parent]).flatten().find(known);
            let holder = self
                .trees()?
                .iter()
                .find(|(_, tree)| tree::current(tree) == Some(context))
                .map(|(p, _)| (*p).clone());
            let holder = holder.unwrap_or_else(|| self.target().to_owned());
            file::edit(&holder, |tree| tree::set_current(tree, back.as_deref()))?;
        }
        self.current()
    }

    fn context_exists(&self, name: &str) -> bool {
        let trees = self.trees().unwrap_or_default();
        trees.iter().any(|(_, tree)| tree::named(tree, "contexts", name).is_some())
    }
}

#[cfg(test)]
mod tests;
