"""The programs of the host: how each is started, and the files that they read."""

import json
import pathlib

from . import settings
from .settings import KEYS, LOGS, PROGRAMS, RUN, SETTINGS

# By which a kubelet sees that a disk is full, and drives pods away.
DISK_SIGNALS = ["nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree"]
ETCD_URL = "http://127.0.0.1:2379"


def key(name):
    return KEYS / f"{name}.key"


def certificate(name):
    return KEYS / f"{name}.crt"


def kubeconfig(name):
    return SETTINGS / f"{name}.kubeconfig"


def etcd():
    # The host is thrown away, so it need not survive a power failure.
    return [PROGRAMS / "etcd", f"--data-dir={settings.ETCD}", f"--listen-client-urls={ETCD_URL}",
            f"--advertise-client-urls={ETCD_URL}", "--unsafe-no-fsync"]


def containerd():
    path = f"{PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return ["env", f"PATH={path}", PROGRAMS / "containerd", f"--config={SETTINGS / 'containerd.toml'}"]


def api_server():
    return [
        PROGRAMS / "kube-apiserver",
        f"--etcd-servers={ETCD_URL}",
        f"--advertise-address={settings.NODE_IP}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={settings.SERVICES}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={certificate('authority')}",
        f"--tls-cert-file={certificate('api-server')}",
        f"--tls-private-key-file={key('api-server')}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={KEYS / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={key('service-accounts')}",
        f"--kubelet-client-certificate={certificate('api-server-to-kubelet')}",
        f"--kubelet-client-key={key('api-server-to-kubelet')}",
        f"--kubelet-certificate-authority={certificate('authority')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={certificate('front-proxy-authority')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificate('front-proxy')}",
        f"--proxy-client-key-file={key('front-proxy')}",
    ]


def clients_of_the_api_server(name):
    """What the controller manager and the scheduler have in common: who they are, and that each is alone."""
    own = kubeconfig(name)
    return [f"--kubeconfig={own}", f"--authentication-kubeconfig={own}", f"--authorization-kubeconfig={own}",
            "--leader-elect=false", "--kube-api-qps=1000", "--kube-api-burst=1000"]


def controller_manager():
    return [
        PROGRAMS / "kube-controller-manager",
        *clients_of_the_api_server("controller-manager"),
        f"--root-ca-file={certificate('authority')}",
        f"--service-account-private-key-file={key('service-accounts')}",
        f"--cluster-signing-cert-file={certificate('authority')}",
        f"--cluster-signing-key-file={key('authority')}",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={settings.ALL_PODS}",
        f"--service-cluster-ip-range={settings.SERVICES}",
    ]


def scheduler():
    return [PROGRAMS / "kube-scheduler", *clients_of_the_api_server("scheduler")]


def kubelet():
    return [PROGRAMS / "kubelet", f"--config={SETTINGS / 'kubelet.json'}", f"--kubeconfig={kubeconfig('kubelet')}",
            f"--hostname-override={settings.NODE}", f"--node-ip={settings.NODE_IP}"]


def proxy():
    return [PROGRAMS / "kube-proxy", f"--config={SETTINGS / 'proxy.json'}"]


# In the order in which they start.
PROGRAMS_OF_THE_HOST = {
    "etcd": etcd,
    "containerd": containerd,
    "kube-apiserver": api_server,
    "kube-controller-manager": controller_manager,
    "kube-scheduler": scheduler,
    "kubelet": kubelet,
    "kube-proxy": proxy,
}

# `restrict_oom_score_adj`: a machine may lack the right to make processes less likely to be killed.
CONTAINERD_TOML = """\
version = 3
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.internal.v1.opt"]
  path = "{opt}"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{sandbox}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{cni_programs}"]
  conf_dir = "{cni}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
    SystemdCgroup = false
"""


def cni():
    subnet = {"subnet": settings.NODE_PODS}
    addresses = {"type": "host-local", "ranges": [[subnet]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}


def kubelet_configuration():
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": f"unix://{settings.SOCKET}",
        "clusterDNS": [settings.DNS_SERVICE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(SETTINGS / "resolv.conf"),
        "tlsCertFile": str(certificate("kubelet-server")),
        "tlsPrivateKeyFile": str(key("kubelet-server")),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificate("authority"))},
        },
        "authorization": {"mode": "Webhook"},
        # The machine's disk is shared with builds, which may fill it for a while; nothing can be pulled, so images must never
        # be collected.
        "evictionHard": {"memory.available": "100Mi", **dict.fromkeys(DISK_SIGNALS, "0%")},
        "evictionPressureTransitionPeriod": "1s",
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        # What a volume shows of a changed ConfigMap follows at the next sync of its pod.
        "syncFrequency": "5s",
        # Tests end processes again and again, and none of them wants to wait for minutes.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "maxPods": 250,
    }


def proxy_configuration():
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "oomScoreAdj": 0,
        "clusterCIDR": settings.ALL_PODS,
        "hostnameOverride": settings.NODE,
        "clientConnection": {"kubeconfig": str(kubeconfig("proxy"))},
        # Limits of the machine's connection tracking can only be set in the machine's own namespace.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def write_settings():
    containerd_toml = CONTAINERD_TOML.format(
        root=settings.CONTAINERD, state=RUN / "containerd-state", socket=settings.SOCKET, opt=RUN / "opt",
        sandbox=settings.SANDBOX_IMAGE, cni_programs=settings.CNI_PROGRAMS, cni=SETTINGS / "cni",
    )
    put(SETTINGS / "containerd.toml", containerd_toml)
    put(SETTINGS / "cni/10-pods.conflist", json.dumps(cni(), indent=1))
    # Nobody answers there: what the cluster does not know has no address.
    put(SETTINGS / "resolv.conf", f"nameserver {settings.MACHINE_IP}\n")
    put(SETTINGS / "kubelet.json", json.dumps(kubelet_configuration(), indent=1))
    put(SETTINGS / "proxy.json", json.dumps(proxy_configuration(), indent=1))


def put(path, text):
    """Writes a file if that changes it: kube-proxy ends itself when its file is touched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def last_lines(name, count=20):
    log = pathlib.Path(LOGS, f"{name}.log")
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-count:])
