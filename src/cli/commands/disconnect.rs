//! `alcove disconnect`: back to the context from before, and nothing of ours left in the kubeconfig.

use super::Error;
use crate::contexts::Files;
use std::path::PathBuf;
use std::process::ExitCode;

/// `alcove disconnect`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant; that of the current context unless given.
    pub name: Option<String>,
    /// The namespace of the tenant, if there are several of this name.
    #[arg(short, long, value_name = "NAMESPACE", requires = "name")]
    pub namespace: Option<String>,
    /// The kubeconfig; $KUBECONFIG or ~/.kube/config unless given.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

pub const EXAMPLES: &str = "\
Examples:
  alcove disconnect        leaves the tenant of the current context
  alcove disconnect red    takes the contexts of red out of the kubeconfig";

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<ExitCode, crate::Error> {
    let files = Files::find(arguments.kubeconfig.as_deref())?;
    let leaving: Vec<String> = match &arguments.name {
        None => {
            let current = files.current()?.ok_or_else(|| {
                not_connected("the kubeconfig has no current context, so there is nothing to leave".into())
            })?;
            if files.mark(&current)?.is_none() {
                return Err(not_connected(format!("the current context {current} is no tenant's")).into());
            }
            vec![current]
        }
        Some(name) => {
            let wanted = |namespace: &str| arguments.namespace.as_deref().is_none_or(|n| n == namespace);
            let marks = files.marks()?.into_iter();
            let ours = marks.filter(|(_, mark)| mark.tenant == *name && wanted(&mark.namespace));
            ours.map(|(context, _)| context).collect()
        }
    };
    if leaving.is_empty() {
        let name = arguments.name.as_deref().unwrap_or_default();
        return Err(not_connected(format!("the kubeconfig has no context of the tenant {name}")).into());
    }
    for context in leaving {
        files.remove(&context)?;
        eprintln!("context {context} is gone from the kubeconfig");
    }
    match files.current()? {
        Some(current) => eprintln!("the current context is {current}"),
        None => eprintln!("there is no current context now; choose one with kubectl config use-context"),
    }
    Ok(ExitCode::SUCCESS)
}

fn not_connected(current: String) -> Error {
    Error::NotConnected { current }
}
