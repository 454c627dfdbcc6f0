"""The host's certificates and kubeconfigs: one authority for the cluster, one for the front proxy, made by openssl."""

import base64
import json
import subprocess

from .settings import API_SERVER, API_SERVER_SERVICE_IP, KEYS, NODE, NODE_IP, SETTINGS

DAYS = "30"
LOCAL = "DNS:localhost,IP:127.0.0.1"
API_SERVER_NAMES = ",".join(
    ["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc"]
    + ["DNS:kubernetes.default.svc.cluster.local", LOCAL, f"IP:{NODE_IP}", f"IP:{API_SERVER_SERVICE_IP}"]
)
# name -> subject, use, names and addresses, who signs
CERTIFICATES = {
    "api-server": ("/CN=kube-apiserver", "serverAuth", API_SERVER_NAMES, "authority"),
    "kubelet-server": (f"/O=system:nodes/CN=system:node:{NODE}", "serverAuth", f"DNS:{NODE},IP:{NODE_IP}", "authority"),
    "api-server-to-kubelet": ("/O=system:masters/CN=api-server-to-kubelet", "clientAuth", "", "authority"),
    "front-proxy": ("/CN=front-proxy-client", "clientAuth", "", "front-proxy-authority"),
    "admin": ("/O=system:masters/CN=host-admin", "clientAuth", "", "authority"),
    "controller-manager": ("/CN=system:kube-controller-manager", "clientAuth", "", "authority"),
    "scheduler": ("/CN=system:kube-scheduler", "clientAuth", "", "authority"),
    "kubelet": (f"/O=system:nodes/CN=system:node:{NODE}", "clientAuth", "", "authority"),
    "proxy": ("/CN=system:kube-proxy", "clientAuth", "", "authority"),
}
CLIENTS = ["admin", "controller-manager", "scheduler", "kubelet", "proxy"]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, cwd=KEYS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS,
            "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN=alcove-test-{name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")


def certificate(name, subject, use, names, signer):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    extensions = ["basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature", f"extendedKeyUsage={use}"]
    extensions += [f"subjectAltName={names}"] if names else []
    (KEYS / f"{name}.extensions").write_text("\n".join(extensions))
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{signer}.crt", "-CAkey", f"{signer}.key", "-CAcreateserial",
            "-days", DAYS, "-extfile", f"{name}.extensions", "-out", f"{name}.crt")


def kubeconfig(client):
    """A client's kubeconfig, which holds all that it needs. JSON is YAML."""

    def embedded(path):
        return base64.b64encode((KEYS / path).read_bytes()).decode()

    cluster = {"server": API_SERVER, "certificate-authority-data": embedded("authority.crt")}
    user = {"client-certificate-data": embedded(f"{client}.crt"), "client-key-data": embedded(f"{client}.key")}
    return json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "host",
        "clusters": [{"name": "host", "cluster": cluster}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": "host", "context": {"cluster": "host", "user": client}}],
    }, indent=1)


def make():
    """Makes what is not there yet: keys, certificates, and a kubeconfig for each client below the settings."""
    if not (KEYS / "complete").exists():
        authority("authority")
        authority("front-proxy-authority")
        for name, rest in CERTIFICATES.items():
            certificate(name, *rest)
        openssl("genrsa", "-out", "service-accounts.key", "2048")
        openssl("rsa", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub")
        (KEYS / "complete").touch()
    for client in CLIENTS:
        path = SETTINGS / f"{client}.kubeconfig"
        if not path.exists():
            path.touch(0o600)
            path.write_text(kubeconfig(client))
