//! Which form a request's body has and which form its answer takes: Accept and Content-Type
//! (k8s.io/apiserver/pkg/endpoints/handlers/negotiation).
//!
//! Bodies come as JSON, YAML or protobuf, and answers go so. Custom resources have no protobuf but for their metadata,
//! and tables none at all: the next clause of the header serves those.

use super::request::Query;
use crate::options::PatchType;
use crate::rest::Encoding;
use alcove_object::{Reason, Status};
use http::{HeaderMap, header};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Media types of answers, the default first.
const ANSWERS: [(&str, Format); 3] =
    [(JSON, Format::Json), (YAML, Format::Yaml), (PROTOBUF, Format::Protobuf)];

/// Media types of answers that are no objects.
const PLAIN_ANSWERS: [(&str, Format); 2] = [(JSON, Format::Json), (YAML, Format::Yaml)];

/// Clauses of an Accept header that are sorted by insertion; more are sorted by their weights alone.
const INSERTED_CLAUSES_MAX: usize = 12;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // their own names say it
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

impl Format {
    /// The Content-Type of a watch.
    pub fn stream_media_type(self) -> &'static str {
        match self {
            Format::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            format => format.media_type(),
        }
    }

    /// The Content-Type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Json => JSON,
            Format::Yaml => YAML,
            Format::Protobuf => PROTOBUF,
        }
    }
}

/// What an answer is turned into (`as=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the kinds of meta.k8s.io
pub enum Transform {
    Table,
    PartialObjectMetadata,
    PartialObjectMetadataList,
}

/// Which version of meta.k8s.io a transformed answer has (`v=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // their own names say it
pub enum MetaVersion {
    V1,
    V1beta1,
}

impl MetaVersion {
    /// As `apiVersion` spells it.
    pub fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// The negotiated form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// How it is written.
    pub format: Format,
    /// What it is turned into.
    pub transform: Option<(Transform, MetaVersion)>,
    /// Indented for people.
    pub pretty: bool,
}

impl Media {
    /// Plain JSON: what errors and whatever cannot be negotiated use.
    pub const PLAIN: Media = Media { format: Format::Json, transform: None, pretty: false };
}

/// One clause of an Accept header.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause<'a> {
    /// Type and subtype, such as `application` and `json`; `*` for any.
    pub media: (&'a str, &'a str),
    /// `q`, 1 unless given.
    pub quality: f32,
    /// Other parameters.
    pub parameters: Vec<(&'a str, &'a str)>,
}

/// The clauses of an Accept header, the most wanted first.
pub fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = accept.split(',').filter_map(clause).collect();
    // Upstream's order is none: what names a type goes before what takes any, whatever their weights, and the weightier
    // before the lighter. So the way of sorting decides, which for a dozen clauses is insertion there, too.
    if clauses.len() > INSERTED_CLAUSES_MAX {
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        return clauses;
    }
    for end in 1..clauses.len() {
        let mut at = end;
        while at > 0 && clauses[at].goes_before(&clauses[at - 1]) {
            clauses.swap(at, at - 1);
            at -= 1;
        }
    }
    clauses
}

fn clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let media = match parts.next()? {
        "" => return None,
        media => media.split_once('/')?,
    };
    let mut clause = Clause { media, quality: 1.0, parameters: Vec::new() };
    for (key, value) in parts.filter_map(|p| p.split_once('=')) {
        match key.trim() {
            "q" => clause.quality = value.trim().parse().unwrap_or(1.0),
            key => clause.parameters.push((key, value.trim().trim_matches('"'))),
        }
    }
    Some(clause)
}

impl Clause<'_> {
    /// The order of k8s.io/apiserver's goautoneg.
    fn goes_before(&self, other: &Clause<'_>) -> bool {
        let ((kind, subtype), (other_kind, other_subtype)) = (self.media, other.media);
        self.quality > other.quality
            || (kind != "*" && other_kind == "*")
            || (subtype != "*" && other_subtype == "*")
    }

    /// Whether the clause takes this media type.
    pub fn takes(&self, media_type: &str) -> bool {
        let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
        let (k, s) = self.media;
        (k == kind && (s == subtype || s == "*")) || (k == "*" && s == "*")
    }

    /// A parameter's value, empty if absent.
    pub fn parameter(&self, key: &str) -> &str {
        self.parameters.iter().find(|(k, _)| *k == key).map_or("", |(_, value)| value)
    }
}

/// The Accept header as one text.
pub fn accept(headers: &HeaderMap) -> &str {
    text(headers, header::ACCEPT)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What can be offered to a client.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// A watch, whose media types end in `;stream=watch`.
    pub is_stream: bool,
    /// A list, which could be watched at the same path.
    pub is_list: bool,
    /// Whether upstream's router looks at the media types first. It knows nothing of custom resources.
    pub is_routed: bool,
    /// Whether whole objects have a protobuf form; custom resources have none.
    pub has_protobuf: bool,
    /// Whether there are tables and metadata alone; reviews, which are not stored, have neither.
    pub has_forms: bool,
}

/// The form of an answer about objects, or 406.
pub fn answer(headers: &HeaderMap, query: &Query, offer: Offer) -> Result<Media, Status> {
    let accept = accept(headers);
    let pretty = wants_pretty(headers, query);
    if accept.is_empty() {
        return Ok(Media { pretty, ..Media::PLAIN });
    }
    for clause in clauses(accept) {
        for (media_type, format) in ANSWERS {
            // Upstream streams no YAML.
            if offer.is_stream && format == Format::Yaml || !clause.takes(media_type) {
                continue;
            }
            if let Some(media) = offer.media(&clause, format, pretty) {
                return Ok(media);
            }
        }
    }
    Err(turned_away(accept, offer))
}

/// 406. Who takes none of the media types never gets to a handler, and upstream's router has words of its own.
fn turned_away(accept: &str, offer: Offer) -> Status {
    let is_known = |clause: &Clause<'_>| ANSWERS.iter().any(|(media_type, _)| clause.takes(media_type));
    let is_any_known = clauses(accept).iter().any(is_known);
    if is_any_known || !offer.is_routed {
        return not_acceptable(offer.is_stream && is_any_known);
    }
    let mut types = ANSWERS.map(|(media_type, _)| media_type).join(", ");
    if offer.is_stream || offer.is_list {
        types += &format!(", {JSON};stream=watch, {PROTOBUF};stream=watch");
    }
    unavailable(&types)
}

impl Offer {
    /// What is offered unless more is known.
    pub const PLAIN: Offer =
        Offer { is_stream: false, is_list: false, is_routed: true, has_protobuf: true, has_forms: true };

    fn media(self, clause: &Clause<'_>, format: Format, pretty: bool) -> Option<Media> {
        let transform = match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
            ("", "", "") => None,
            (kind, "meta.k8s.io", version) => Some((transform(kind)?, meta_version(version)?)),
            _ => return None,
        };
        if transform.is_some() && !self.has_forms {
            return None;
        }
        if !matches!(clause.parameter("stream"), "" | "watch") {
            return None;
        }
        let can_be_protobuf = match transform {
            None => self.has_protobuf,
            Some((kind, _)) => kind != Transform::Table,
        };
        if format == Format::Protobuf && !can_be_protobuf {
            return None;
        }
        Some(Media { format, transform, pretty: pretty || clause.parameter("pretty") == "1" })
    }
}

fn transform(kind: &str) -> Option<Transform> {
    match kind {
        "Table" => Some(Transform::Table),
        "PartialObjectMetadata" => Some(Transform::PartialObjectMetadata),
        "PartialObjectMetadataList" => Some(Transform::PartialObjectMetadataList),
        _ => None,
    }
}

fn meta_version(version: &str) -> Option<MetaVersion> {
    match version {
        "v1" => Some(MetaVersion::V1),
        "v1beta1" => Some(MetaVersion::V1beta1),
        _ => None,
    }
}

/// The form of an answer that cannot be transformed (discovery, version, OpenAPI index), or 406.
pub fn plain_answer(headers: &HeaderMap, query: &Query) -> Result<Media, Status> {
    let accept = accept(headers);
    let pretty = wants_pretty(headers, query);
    if accept.is_empty() {
        return Ok(Media { pretty, ..Media::PLAIN });
    }
    let fits = |clause: &Clause<'_>| {
        let asks_other = ["as", "g", "v"].iter().any(|key| !clause.parameter(key).is_empty());
        let found = PLAIN_ANSWERS.iter().find(|(media_type, _)| clause.takes(media_type));
        found.filter(|_| !asks_other).map(|(_, format)| *format)
    };
    let format = clauses(accept).iter().find_map(fits).ok_or_else(|| turned_away(accept, Offer::PLAIN))?;
    Ok(Media { format, pretty, transform: None })
}

/// 406 for who does not take JSON, where there is nothing else.
pub fn check_json(headers: &HeaderMap) -> Result<(), Status> {
    let accept = accept(headers);
    if accept.is_empty() || clauses(accept).iter().any(|clause| clause.takes(JSON)) {
        return Ok(());
    }
    Err(unavailable(JSON))
}

/// 406 in the words of upstream's router.
fn unavailable(types: &str) -> Status {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {types}");
    Status::unrouted(406, Reason::NOT_ACCEPTABLE, message)
}

/// 406 with the media types that would be accepted.
pub fn not_acceptable(is_stream: bool) -> Status {
    let types = match is_stream {
        true => format!("{JSON};stream=watch, {PROTOBUF};stream=watch"),
        false => ANSWERS.map(|(media_type, _)| media_type).join(", "),
    };
    Status::new(406, Reason::NOT_ACCEPTABLE, format!("only the following media types are accepted: {types}"))
}

/// `?pretty=` wins; without it, tools that people type get indented answers.
fn wants_pretty(headers: &HeaderMap, query: &Query) -> bool {
    match query.get("pretty") {
        Some(value) if !value.is_empty() => matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        _ => {
            let agent = text(headers, header::USER_AGENT);
            ["curl", "Wget", "Mozilla/5.0"].iter().any(|tool| agent.starts_with(tool))
        }
    }
}

/// The encoding of a request's body, JSON unless said, or 415.
pub fn body_encoding(headers: &HeaderMap) -> Result<Encoding, Status> {
    match media_type(headers).as_str() {
        "" | JSON => Ok(Encoding::Json),
        YAML => Ok(Encoding::Yaml),
        PROTOBUF => Ok(Encoding::Protobuf),
        _ => Err(unsupported(&[JSON, YAML, PROTOBUF])),
    }
}

/// The kind of a patch and the encoding of its body, or 415. Custom resources have no strategic merge.
pub fn patch_type(headers: &HeaderMap, is_custom: bool) -> Result<(PatchType, Encoding), Status> {
    const JSON_PATCH: &str = "application/json-patch+json";
    const MERGE: &str = "application/merge-patch+json";
    const STRATEGIC: &str = "application/strategic-merge-patch+json";
    const APPLY: &str = "application/apply-patch+yaml";
    match media_type(headers).as_str() {
        JSON_PATCH => Ok((PatchType::Json, Encoding::Json)),
        MERGE => Ok((PatchType::Merge, Encoding::Json)),
        STRATEGIC if !is_custom => Ok((PatchType::Strategic, Encoding::Json)),
        APPLY => Ok((PatchType::Apply, Encoding::Yaml)),
        _ if is_custom => Err(unsupported(&[JSON_PATCH, MERGE, APPLY])),
        // The router's word.
        _ => Err(Status::unrouted(415, Reason::UNSUPPORTED_MEDIA_TYPE, "415: Unsupported Media Type")),
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let text = text(headers, header::CONTENT_TYPE);
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn unsupported(types: &[&str]) -> Status {
    let list = types.join(", ");
    let message =
        format!("the body of the request was in an unknown format - accepted media types include: {list}");
    Status::new(415, Reason::UNSUPPORTED_MEDIA_TYPE, message)
}

/// Whether the client takes gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    text(headers, header::ACCEPT_ENCODING).split(',').any(|token| token.trim() == "gzip")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn negotiate(accept: &str, stream: bool) -> Result<String, u16> {
        let headers = headers(&[(header::ACCEPT, accept)]);
        let offer = Offer { is_stream: stream, ..Offer::PLAIN };
        let media = answer(&headers, &Query::default(), offer).map_err(|status| status.code)?;
        let transform = media.transform.map(|(kind, version)| format!(" {kind:?} {version:?}"));
        let pretty = if media.pretty { " pretty" } else { "" };
        Ok(format!("{:?}{}{pretty}", media.format, transform.unwrap_or_default()))
    }

    #[test]
    fn answers() {
        const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
        const TABLE_BETA: &str = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
        for (accept, stream, expected) in [
            ("application/json", false, Ok("Json")),
            ("*/*", false, Ok("Json")),
            ("application/*", false, Ok("Json")),
            ("application/yaml", false, Ok("Yaml")),
            ("application/yaml", true, Err(406)),
            ("application/json;stream=watch", true, Ok("Json")),
            ("application/json;stream=other", true, Err(406)),
            ("application/vnd.kubernetes.protobuf", false, Ok("Protobuf")),
            ("application/vnd.kubernetes.protobuf;stream=watch", true, Ok("Protobuf")),
            ("application/vnd.kubernetes.protobuf,application/json", false, Ok("Protobuf")),
            ("application/json,application/vnd.kubernetes.protobuf", false, Ok("Json")),
            ("application/vnd.kubernetes.protobuf;q=0.5,application/json", false, Ok("Json")),
            (
                "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,application/json",
                false,
                Ok("Json"),
            ),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false, Ok("Json")),
            ("application/json;q=0.5, application/yaml", false, Ok("Yaml")),
            ("application/json;pretty=1", false, Ok("Json pretty")),
            ("application/json;unknown=x", false, Ok("Json")),
            ("application/json;as=Foo;v=v1;g=meta.k8s.io", false, Err(406)),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", false, Err(406)),
            ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", false, Ok("Json")),
            (&format!("{TABLE},{TABLE_BETA},application/json"), false, Ok("Json Table V1")),
            (&format!("{TABLE_BETA},application/json"), false, Ok("Json Table V1beta1")),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                false,
                Ok("Protobuf PartialObjectMetadataList V1"),
            ),
            ("text/plain", false, Err(406)),
        ] {
            assert_eq!(negotiate(accept, stream).as_deref(), expected.as_ref().map(|s| *s), "{accept}");
        }
    }

    #[test]
    fn custom_resources_have_protobuf_for_their_metadata_alone() {
        const METADATA: &str =
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let offer = Offer { has_protobuf: false, ..Offer::PLAIN };
        let format = |accept: &str| {
            let media = answer(&headers(&[(header::ACCEPT, accept)]), &Query::default(), offer);
            media.map(|media| media.format).map_err(|status| status.code)
        };
        assert_eq!(format("application/vnd.kubernetes.protobuf"), Err(406));
        assert_eq!(format("application/vnd.kubernetes.protobuf,application/json"), Ok(Format::Json));
        assert_eq!(format(METADATA), Ok(Format::Protobuf));
    }

    #[test]
    fn refusals_list_what_is_accepted() {
        let refusal = |accept, is_stream| {
            let offer = Offer { is_stream, ..Offer::PLAIN };
            answer(&headers(&[(header::ACCEPT, accept)]), &Query::default(), offer).unwrap_err()
        };
        assert_eq!(
            refusal("text/plain", false).message,
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
        assert_eq!(
            refusal("application/json;as=Other", false).message,
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
        assert_eq!(
            refusal("application/json;as=Other", true).message,
            "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
        );
        let refusal = body_encoding(&headers(&[(header::CONTENT_TYPE, "text/plain")])).unwrap_err();
        assert_eq!(
            refusal.message,
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        );
    }

    #[test]
    fn bodies_and_patches() {
        let body = |text| body_encoding(&headers(&[(header::CONTENT_TYPE, text)])).map_err(|s| s.code);
        assert_eq!(body("application/json; charset=utf-8"), Ok(Encoding::Json));
        assert_eq!(body("application/yaml"), Ok(Encoding::Yaml));
        assert_eq!(body("application/vnd.kubernetes.protobuf"), Ok(Encoding::Protobuf));
        assert_eq!(body("application/xml"), Err(415));
        assert_eq!(body_encoding(&HeaderMap::new()).unwrap(), Encoding::Json);

        let patch =
            |text, custom| patch_type(&headers(&[(header::CONTENT_TYPE, text)]), custom).map_err(|s| s.code);
        let strategic = "application/strategic-merge-patch+json";
        assert_eq!(patch(strategic, false), Ok((PatchType::Strategic, Encoding::Json)));
        assert_eq!(patch(strategic, true), Err(415));
        assert_eq!(patch("application/apply-patch+yaml", true), Ok((PatchType::Apply, Encoding::Yaml)));
        assert_eq!(patch("application/json", false), Err(415));
    }

    #[test]
    fn people_get_indented_answers() {
        let agent =
            |agent, query| wants_pretty(&headers(&[(header::USER_AGENT, agent)]), &Query::parse(query));
        assert!(agent("curl/8.5.0", ""));
        assert!(!agent("curl/8.5.0", "pretty=false"));
        assert!(!agent("kubectl/v1.36.0", ""));
        assert!(agent("kubectl/v1.36.0", "pretty=true"));
    }
}
