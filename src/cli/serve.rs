//! `alcove serve`: one control plane, stand-alone or as the tenant of a host.

use crate::arguments::ServeArguments;
use crate::control_plane::{ControlPlane, Options};
use crate::error::Error;
use crate::tenant::{self, Place, Reach};
use crate::{files, rewind};
use alcove_apiserver::admission::StoreLimits;
use alcove_config::Config;
use alcove_schema::builtin::Enabled;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The port of an API server, unless another one is chosen.
const PORT: u16 = 8443;

/// Serves until the process is asked to end.
pub async fn run(arguments: ServeArguments) -> Result<(), Error> {
    let asked_to_end = asked_to_end();
    let config = match &arguments.config {
        Some(path) => read(path)?,
        None => Config::default(),
    };
    let data = arguments.data.or(config.data.clone()).ok_or(Error::NoData)?;
    let data = files::absolute(&data)?;
    let minor = arguments.kubernetes_version.unwrap_or(config.kubernetes_version.0);
    let mut switches = config.runtime_config.clone();
    switches.extend(arguments.runtime_config);
    // Alone, nobody but this machine is meant; a tenant is reached from its host.
    let nowhere = if config.host.is_some() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let place = Place {
        data: data.clone(),
        address: arguments.address.or(config.address).unwrap_or(IpAddr::V4(nowhere)),
        port: arguments.port.or(config.port).unwrap_or(PORT),
        minor,
        enabled: Enabled::new(minor, &switches)?,
        pod_uid: arguments.pod_uid,
        pause_note: arguments.config.as_deref().map(|path| path.with_file_name(rewind::NOTE)),
    };
    let plane = match &config.host {
        Some(host) => {
            let kubeconfig = host.kubeconfig.as_deref().map(files::read).transpose()?;
            let reach = Reach::new(kubeconfig.as_deref()).await?;
            tenant::check_neighbours(&config, host, &reach.client).await?;
            tenant::start(&config, host, reach, place).await?
        }
        None => alone(place).await?,
    };
    let kubeconfig = data.join("admin.kubeconfig");
    files::write_private(&kubeconfig, &plane.kubeconfig("kubernetes-admin")?)?;
    println!("serving {}\n\n  export KUBECONFIG={}\n", plane.url(), kubeconfig.display());
    asked_to_end.await;
    plane.stop().await;
    Ok(())
}

async fn alone(place: Place) -> Result<ControlPlane, Error> {
    ControlPlane::start(Options {
        name: "alcove".into(),
        data: place.data,
        address: place.address,
        port: place.port,
        minor: place.minor,
        enabled: place.enabled,
        names: Vec::new(),
        limits: StoreLimits::default(),
        services: None,
        connector: None,
    })
    .await
}

fn read(path: &Path) -> Result<Config, Error> {
    let text = files::read(path)?;
    Config::parse(&text)
        .map_err(|problem| Error::Config { path: path.to_owned(), detail: problem.to_string() })
}

/// Waits for Ctrl-C or SIGTERM from this call on: whoever asks while everything still starts is heard, too.
pub fn asked_to_end() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        match signals {
            (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            // Without signals only SIGKILL ends the process, which is survived as well.
            _ => std::future::pending().await,
        }
    }
}
