//! Answers: status line and headers around a body.

use super::body::Body;
use super::negotiate::{Format, Media};
use super::objects::written;
use alcove_object::{Reason, Status};
use http::{HeaderValue, Response, StatusCode, header};

/// Characters of warnings in one answer, in all; past it each is cut to [`WARNING_CHARACTERS_MAX`]
/// (k8s.io/apiserver/pkg/endpoints/filters/warning.go).
const WARNINGS_CHARACTERS_MAX: usize = 4 * 1024;
/// Characters of one warning once the answer has too many.
const WARNING_CHARACTERS_MAX: usize = 256;

/// An answer.
pub type Answer = Response<Body>;

/// An answer with this code and type.
pub fn answer(code: u16, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// JSON, in the form that was negotiated.
pub fn json(code: u16, media: Media, json: Body) -> Answer {
    answer(code, media.format.media_type(), written(media, json))
}

/// Plain text.
pub fn text(code: u16, text: impl Into<String>) -> Answer {
    let mut answer = answer(code, "text/plain; charset=utf-8", Body::full(text.into()));
    let nosniff = HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}

/// What a path that nobody serves gets: text, not a `Status`.
pub fn page_not_found() -> Answer {
    text(404, "404 page not found\n")
}

/// Not modified: the client's copy is good.
pub fn not_modified() -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NOT_MODIFIED;
    answer
}

/// A failure.
pub fn failure(status: &Status, media: Media) -> Answer {
    let body = Body::full(format!("{}\n", status.to_value()));
    // A Status is never a table; who wants metadata alone in protobuf gets it in JSON, as upstream has it.
    let format = match (media.format, media.transform) {
        (Format::Protobuf, Some(_)) => Format::Json,
        (format, _) => format,
    };
    let mut answer = json(status.code, Media { format, transform: None, ..media }, body);
    warn(&mut answer, &status.warnings);
    let headers = answer.headers_mut();
    let wait = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if wait > 0 {
        headers.insert(header::RETRY_AFTER, wait.into());
    }
    if status.is(Reason::FORBIDDEN) {
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    answer
}

/// What a request gets for which there is no seat (k8s.io/apiserver/pkg/server/filters/maxinflight.go).
pub fn too_many_requests() -> Answer {
    let mut answer = text(429, "Too many requests, please try again later.\n");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// Adds warnings as headers: each once, cut when there are too many.
pub fn warn(answer: &mut Answer, warnings: &[String]) {
    let mut once: Vec<&str> = Vec::new();
    for warning in warnings.iter().map(String::as_str).filter(|warning| !warning.is_empty()) {
        if !once.contains(&warning) && !warning.chars().any(char::is_control) {
            once.push(warning);
        }
    }
    let total: usize = once.iter().map(|warning| warning.chars().count()).sum();
    let mut room = WARNINGS_CHARACTERS_MAX;
    for warning in once {
        let length = if total > WARNINGS_CHARACTERS_MAX { WARNING_CHARACTERS_MAX } else { usize::MAX };
        let cut: String = warning.chars().take(length).collect();
        let quoted = cut.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            answer.headers_mut().append(header::WARNING, value);
        }
        room = room.saturating_sub(cut.chars().count());
        if room == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(texts: &[String]) -> Vec<String> {
        let mut answer = text(200, "");
        warn(&mut answer, texts);
        let values = answer.headers().get_all(header::WARNING).iter();
        values.map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap()).collect()
    }

    #[test]
    fn warnings_are_quoted_and_told_once() {
        let texts = [r#"unknown field "spec.a""#, "b", "b", "", "line\nbreak", "ü"].map(str::to_owned);
        assert_eq!(warnings(&texts), [r#"299 - "unknown field \"spec.a\"""#, "299 - \"b\"", "299 - \"ü\""]);
    }

    #[test]
    fn too_many_warnings_are_cut() {
        let texts: Vec<String> = (0..40).map(|i| format!("{i:0>300}")).collect();
        let told = warnings(&texts);
        assert_eq!(told.len(), 16);
        assert!(told.iter().all(|warning| warning.len() == 256 + 8));
    }

    #[test]
    fn failures_say_when_to_come_again() {
        let answer = failure(&Status::too_many_requests("later", 7), Media::PLAIN);
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "7");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    }
}
