//! What each of Kubernetes' own signers signs (k8s.io/kubernetes/pkg/controller/certificates/signer, pkg/apis/certificates).
//! `kubernetes.io/legacy-unknown` is not among them: no version of the API that is served takes requests for it.

use alcove_apiserver::certs::CertificateRequest;

/// Whether a signer signs a request for these usages; if not, why.
pub(super) type Check = fn(&CertificateRequest, &[&str]) -> Result<(), Refusal>;

/// Why a request is not signed, in upstream's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The rule that the request breaks.
    Rule(&'static str),
    /// A usage that no client certificate has.
    Usage(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Rule(rule) => f.write_str(rule),
            Refusal::Usage(usage) => write!(f, "invalid usage for client certificate: {usage}"),
        }
    }
}

/// What a signer asks of requests; `None`: the signer is somebody else's.
pub(super) fn check(signer: &str) -> Option<Check> {
    match signer {
        "kubernetes.io/kube-apiserver-client" => Some(client),
        "kubernetes.io/kube-apiserver-client-kubelet" => Some(kubelet_client),
        "kubernetes.io/kubelet-serving" => Some(kubelet_serving),
        _ => None,
    }
}

fn client(_: &CertificateRequest, usages: &[&str]) -> Result<(), Refusal> {
    const OPTIONAL: [&str; 2] = ["digital signature", "key encipherment"];
    let is_known = |usage: &&str| *usage == "client auth" || OPTIONAL.contains(usage);
    if let Some(other) = usages.iter().find(|usage| !is_known(usage)) {
        return Err(Refusal::Usage((*other).to_owned()));
    }
    ensure(usages.contains(&"client auth"), "missing required usage for client certificate: client auth")
}

fn kubelet_client(request: &CertificateRequest, usages: &[&str]) -> Result<(), Refusal> {
    ensure(request.organizations() == ["system:nodes"], "subject organization is not system:nodes")?;
    ensure(request.dns_names.is_empty(), "DNS subjectAltNames are not allowed")?;
    ensure(request.emails.is_empty(), "Email subjectAltNames are not allowed")?;
    ensure(request.addresses.is_empty(), "IP subjectAltNames are not allowed")?;
    ensure(request.uris.is_empty(), "URI subjectAltNames are not allowed")?;
    is_for_node(request)?;
    ensure(
        is_for_tls(usages, "client auth"),
        "usages did not match [client auth digital signature key encipherment]",
    )
}

fn kubelet_serving(request: &CertificateRequest, usages: &[&str]) -> Result<(), Refusal> {
    ensure(request.organizations() == ["system:nodes"], "subject organization is not system:nodes")?;
    let has_place = !request.dns_names.is_empty() || !request.addresses.is_empty();
    ensure(has_place, "DNS or IP subjectAltName is required")?;
    ensure(request.emails.is_empty(), "Email subjectAltNames are not allowed")?;
    ensure(request.uris.is_empty(), "URI subjectAltNames are not allowed")?;
    ensure(
        is_for_tls(usages, "server auth"),
        "usages did not match [digital signature key encipherment server auth]",
    )?;
    is_for_node(request)
}

fn is_for_node(request: &CertificateRequest) -> Result<(), Refusal> {
    let is_node = request.common_name().starts_with("system:node:");
    ensure(is_node, "subject common name does not begin with system:node:")
}

/// Whether usages are exactly those of one end of TLS; keys that are not RSA encipher none.
fn is_for_tls(usages: &[&str], end: &str) -> bool {
    let mut usages: Vec<&str> =
        usages.iter().filter(|usage| **usage != "key encipherment").copied().collect();
    usages.sort_unstable();
    usages.dedup();
    let mut expected = [end, "digital signature"];
    expected.sort_unstable();
    usages == expected
}

fn ensure(holds: bool, rule: &'static str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::Rule(rule)) }
}
