//! The host, the tenants on it, and the place that a scenario has in a tenant.

use crate::harness::session::Session;
use crate::harness::transcript;
use crate::harness::{Api, Server};
use crate::{agreement, install};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use tempfile::TempDir;

/// The tenants: scenarios live in the first.
const NAMES: [&str; 2] = ["red", "blue"];
/// A third tenant, which the host is not protected from: what attacks succeed in.
const OPEN: &str = "open";
/// The version of kubectl that scenarios use unless they say otherwise.
const KUBECTL: &str = "1.35";
/// Programs of a session beside kubectl.
const TOOLS: [(&str, &str); 4] = [
    ("kubectl", "kubectl-1.35"),
    ("kubectl-1.33", "kubectl-1.33"),
    ("kubectl-1.37", "kubectl-1.37"),
    ("helm", "helm-3"),
];

/// Images of pods, as variables of the shell.
const IMAGES: [(&str, &str); 3] = [
    ("AGNHOST", "registry.k8s.io/e2e-test-images/agnhost:2.63.0"),
    ("BUSYBOX", "registry.k8s.io/e2e-test-images/busybox:1.37.0-1"),
    ("NGINX", "registry.k8s.io/e2e-test-images/nginx:1.27-0"),
];

/// Commands of a session: kubectl on the host, the same with the rights of the tenant's process, kubectl in the other
/// tenants, what shakes the host, and the product itself as the platform team uses it.
const SCRIPTS: [(&str, &str); 6] = [
    ("host", r#"exec kubectl --kubeconfig="$HOST" --namespace="$HNS" "$@""#),
    ("process", r#"exec kubectl --kubeconfig="$HOST" --namespace="$HNS" $AS_THE_PROCESS "$@""#),
    ("other", r#"exec kubectl --kubeconfig="$OTHER" "$@""#),
    ("open", r#"exec kubectl --kubeconfig="$OPEN" "$@""#),
    ("node", r#"exec python3 -B "$CHECKOUT/tests/host/host.py" "$@""#),
    ("alcove", r#"KUBECONFIG="$HOST" exec "$ALCOVE" "$@""#),
];

/// A tenant of the host.
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// The host namespace that it lives in.
    pub host_namespace: String,
    /// The kubeconfig of its administrator.
    pub kubeconfig: PathBuf,
    /// How it runs.
    pub running: Running,
}

impl Tenant {
    /// What gives kubectl on the host the rights of the tenant's process. One that is no pod has the administrator's.
    fn impersonation(&self) -> String {
        match self.running {
            Running::Pod => format!("--as=system:serviceaccount:{}:{}", self.host_namespace, self.name),
            Running::Process(_) | Running::Host => String::new(),
        }
    }
}

/// How a tenant runs.
pub enum Running {
    /// It is the host itself, which scenarios are proven on.
    Host,
    /// As a process on this machine, which is quickly built and started.
    Process(Box<Process>),
    /// As the pod that `alcove create` made.
    Pod,
}

/// A tenant's process on this machine, with its files.
pub struct Process {
    /// The process.
    pub server: Mutex<Server>,
    /// Its configuration and its data, which go with it.
    pub _files: TempDir,
}

/// Everything that runs.
pub struct World {
    /// The kubeconfig of the host's administrator.
    pub host_kubeconfig: PathBuf,
    /// Where the host's node answers on node ports.
    pub node_ip: String,
    /// The tenants; scenarios live in the first, look at the second as strangers, and attack from the third.
    pub tenants: Vec<Tenant>,
}

impl World {
    /// Makes the tenants on the host that the environment names.
    pub fn start() -> World {
        let host = std::env::var_os("ALCOVE_HOST_KUBECONFIG").map(PathBuf::from);
        let host_kubeconfig =
            host.expect("ALCOVE_HOST_KUBECONFIG names a kubeconfig; `make test-host` sets it");
        let on = std::env::var("ALCOVE_SCENARIOS_ON").unwrap_or("pod".into());
        let tenants = match on.as_str() {
            "host" => vec![install::nobody(&host_kubeconfig)],
            "process" => all(|name, is_protected| install::process(&host_kubeconfig, name, is_protected)),
            "pod" => all(|name, is_protected| install::pod(&host_kubeconfig, name, is_protected)),
            other => panic!("ALCOVE_SCENARIOS_ON is pod, process or host, not {other}"),
        };
        let api = Api::of(&host_kubeconfig).expect("the host's kubeconfig");
        let node_ip = api.address.split(':').next().expect("an address is an IP and a port").to_owned();
        World { host_kubeconfig, node_ip, tenants }
    }

    /// The tenant of a name; on the host itself everybody is the host.
    fn tenant(&self, name: &str) -> &Tenant {
        let found = self.tenants.iter().find(|tenant| tenant.name == name);
        found.or(self.tenants.first()).expect("a world has a tenant")
    }

    /// Starts what of the host is down.
    pub fn mend(&self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/host.py");
        let status = Command::new("python3").args(["-B", script, "up"]).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "the host does not come back");
    }

    /// Deletes the tenants, which must leave nothing on the host.
    pub fn end(&self) {
        self.tenants.iter().for_each(|tenant| install::remove(&self.host_kubeconfig, tenant));
    }
}

/// All tenants: two as platform teams make them, and the open one.
fn all(make: impl Fn(&str, bool) -> Tenant) -> Vec<Tenant> {
    let mut tenants = Vec::from(NAMES.map(|name| make(name, true)));
    tenants.push(make(OPEN, false));
    tenants
}

/// A scenario's place: a namespace in a tenant, and a shell there.
pub struct Place<'a> {
    /// Where.
    pub tenant: &'a Tenant,
    /// The namespace in the tenant.
    pub namespace: String,
    /// A shell with `NS`, `HOST` (the host's kubeconfig), `HNS` (the tenant's host namespace), `VC` (its name), the same
    /// of the other tenant, and the commands of [`SCRIPTS`].
    pub session: Session,
}

impl<'a> Place<'a> {
    /// A new namespace in the first tenant.
    pub fn new(world: &'a World, scenario: &str) -> Place<'a> {
        let tenant = &world.tenants[0];
        let namespace = scenario.replace(['/', '_', '.'], "-");
        let (other, open) = (world.tenant(NAMES[1]), world.tenant(OPEN));
        let mut variables = vec![
            ("NS", namespace.clone()),
            ("HOST", world.host_kubeconfig.display().to_string()),
            ("HNS", tenant.host_namespace.clone()),
            ("VC", tenant.name.clone()),
            ("NODE_IP", world.node_ip.clone()),
            ("AS_THE_PROCESS", tenant.impersonation()),
            ("OTHER", other.kubeconfig.display().to_string()),
            ("OTHER_VC", other.name.clone()),
            ("OTHER_HNS", other.host_namespace.clone()),
            ("OPEN", open.kubeconfig.display().to_string()),
            ("OPEN_VC", open.name.clone()),
            ("OPEN_HNS", open.host_namespace.clone()),
            ("ALCOVE", env!("CARGO_BIN_EXE_alcove").to_owned()),
            ("CHECKOUT", env!("CARGO_MANIFEST_DIR").to_owned()),
        ];
        variables.extend(IMAGES.map(|(name, image)| (name, image.to_owned())));
        let session = Session::at(&tenant.kubeconfig, variables, &TOOLS);
        for (name, line) in SCRIPTS {
            script(&session, name, line);
        }
        session.ok("kubectl create namespace $NS");
        session.ok("kubectl wait --for=create serviceaccount/default --timeout=600s");
        Place { tenant, namespace, session }
    }

    /// Plays a transcript.
    pub fn play(&self, name: &str, path: &Path) {
        transcript::play_file(&self.session, KUBECTL, name, path);
    }

    /// Checks that the host agrees with the tenant, removes the namespace, and checks that the host has nothing of it.
    pub fn end(&self) {
        // Shells do not leave when they are asked to.
        self.session.ok("kubectl delete pods --all --grace-period=1 --wait=false");
        if !matches!(self.tenant.running, Running::Host) {
            let host = Api::of(Path::new(&self.variable("HOST"))).expect("the host's kubeconfig");
            let tenant = Api::of(&self.tenant.kubeconfig).expect("the tenant's kubeconfig");
            agreement::assert_same(&tenant, &host, self.tenant, &self.namespace);
            self.session.ok("kubectl delete namespace $NS --timeout=600s");
            agreement::assert_gone(&host, self.tenant, &self.namespace);
        } else {
            self.session.ok("kubectl delete namespace $NS --wait=false");
        }
    }

    fn variable(&self, name: &str) -> String {
        let found = self.session.variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// What is there on both sides, for a report of a failure.
    pub fn describe(&self) -> String {
        let script = "kubectl get pods,services,pvc,configmaps -o wide; kubectl get events; \
                      host get pods,services -l alcove.dev/namespace=$NS -o wide; \
                      kubectl logs --all-containers --tail=20 --prefix -l '!none' 2>&1 | tail -40; \
                      cat said 2>/dev/null";
        self.session.run(script).output
    }
}

fn script(session: &Session, name: &str, line: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = session.kubeconfig().with_file_name("bin").join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).expect("a new file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
}
