//! Requests about objects: from the wire's words to the pipeline's operations, and back.

use super::body::Body;
use super::handle::{Call, panicked};
use super::negotiate::{self, Offer, Transform};
use super::objects::Form;
use super::options::{self, Writing};
use super::plain;
use super::protobuf;
use super::respond::{self, Answer};
use super::watch;
use crate::options::DeleteOptions;
use crate::registry::{Registry, SubresourceKind};
use crate::request::{RequestInfo, Verb};
use crate::rest::{self, Answered, Caller, Connection, DeletedAnswer, Encoding, HttpBody, Target};
use crate::reviews;
use crate::table::{Columns, Include};
use alcove_object::{Gvk, Status, Value};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::BodyExt;
use std::future::Future;

/// Answers a request about objects.
pub async fn answer(mut call: Box<Call>) -> Result<Answer, Status> {
    let registry = call.front.server.registry();
    // What a request is about is read without regard to slashes too many at the front; nothing is served there.
    if call.info.path.starts_with("//") {
        return plain::unserved(&registry, &call.info.path);
    }
    if is_connection(&registry, &call.info) {
        call.info.verb = Verb::Connect;
    }
    let target = match Target::of(&registry, &call.info) {
        Ok(target) => target,
        // What is found by its object names it; other paths are not there at all.
        Err(status) if status.code == 404 && !names_an_object(&status) => {
            return plain::unserved(&registry, &call.info.path);
        }
        Err(status) => return Err(status),
    };
    if !is_routed(&call.info) {
        return Err(match (target.resource.custom.is_some(), call.info.verb) {
            (true, Verb::Update | Verb::Patch) => Status::bad_request("name must be provided"),
            _ => Status::unrouted_method(),
        });
    }
    let deprecation = target.resource.deprecation.clone();
    match (dispatch(call, target).await, deprecation) {
        (answered, None) => answered,
        (Ok(mut answer), Some(warning)) => {
            respond::warn(&mut answer, &[warning]);
            Ok(answer)
        }
        (Err(status), Some(warning)) => Err(status.with_warnings(vec![warning])),
    }
}

fn names_an_object(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

/// Most requests read. What they wait in is small, and what others wait in is in boxes.
async fn dispatch(call: Box<Call>, target: Target) -> Result<Answer, Status> {
    match call.info.verb {
        Verb::Connect if target.subresource().is_some() => Box::pin(connect(*call, target)).await,
        Verb::Get => get(&call, &target).await,
        Verb::List => list(&call, &target).await,
        Verb::Watch => watch(&call, &target).await,
        Verb::Create if reviews::is_review(&target) => Box::pin(review(*call, target)).await,
        Verb::Create | Verb::Update | Verb::Patch => Box::pin(write(*call, target)).await,
        Verb::Delete => Box::pin(delete(*call, target)).await,
        Verb::DeleteCollection => Box::pin(delete_collection(*call, target)).await,
        Verb::Connect => plain::unserved(&call.front.server.registry(), &call.info.path),
        Verb::Unnamed => Err(Status::unrouted_method()),
    }
}

/// Whether the method fits the path: objects are made in their collection, and changed under their names.
fn is_routed(info: &RequestInfo) -> bool {
    match info.verb {
        Verb::Create => info.name.is_empty() || !info.subresource.is_empty(),
        Verb::Update | Verb::Patch => !info.name.is_empty(),
        // The old prefix is a verb whatever the method.
        Verb::Watch => matches!(&*info.method, "get" | "head"),
        Verb::Connect => match &*info.subresource {
            "log" => matches!(&*info.method, "get" | "head"),
            "exec" | "attach" | "portforward" => matches!(&*info.method, "get" | "head" | "post"),
            _ => true,
        },
        _ => true,
    }
}

/// Whether a request goes to exec, logs, a proxy or the like, whose verb is `connect` whatever the method.
fn is_connection(registry: &Registry, info: &RequestInfo) -> bool {
    let resource = registry.resource(&info.group, &info.version, &info.resource);
    let sub = resource.and_then(|resource| resource.subresource(&info.subresource));
    sub.is_some_and(|sub| sub.kind == SubresourceKind::Connect)
}

/// The form of an answer about objects.
fn form(call: &Call, target: &Target, is_stream: bool) -> Result<Form, Status> {
    let is_scale = target.subresource().is_some_and(|sub| sub.kind == SubresourceKind::Scale);
    let parameter = call.query.get("includeObject").unwrap_or_default();
    let offer = Offer {
        is_stream,
        is_list: call.info.verb == Verb::List,
        is_routed: target.resource.custom.is_none(),
        has_protobuf: protobuf::is_spoken(target),
        ..Offer::PLAIN
    };
    let media = negotiate::answer(call.headers(), &call.query, offer)?;
    Ok(Form {
        media,
        types: target.resource.types.clone(),
        columns: match is_scale {
            true => Columns::These(crate::kinds::scale_columns().into()),
            false => Columns::Of(target.resource.clone()),
        },
        is_custom: target.resource.custom.is_some(),
        gvk: target.gvk().clone(),
        list_kind: target.resource.list_kind(),
        include: match media.transform {
            Some((Transform::Table, _)) => Include::parse(parameter)?,
            _ => Include::Metadata,
        },
        now: call.front.server.env.now(),
    })
}

fn caller(call: &Call) -> Caller {
    let agent = call.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let manager = options::manager_of_agent(agent.unwrap_or_default());
    Caller { user: call.user.clone(), manager }
}

fn respond(code: u16, form: &Form, body: Body) -> Answer {
    respond::answer(code, form.media.format.media_type(), body)
}

async fn get(call: &Call, target: &Target) -> Result<Answer, Status> {
    let form = form(call, target, false)?;
    if call.query.flag("export") == Some(true) {
        let why = "the export parameter, deprecated since v1.14, is no longer supported";
        return Err(Status::bad_request(why));
    }
    let revision = call.query.get("resourceVersion").unwrap_or_default();
    let object = call.front.server.get(target, revision).await?;
    Ok(respond(200, &form, form.object(&object)?))
}

async fn list(call: &Call, target: &Target) -> Result<Answer, Status> {
    let form = form(call, target, false)?;
    form.of_list()?;
    let options = options::list_options(&call.query, &call.info.name)?;
    let list = call.front.server.list(target, &options).await?;
    Ok(respond(200, &form, form.list(list)?))
}

async fn watch(call: &Call, target: &Target) -> Result<Answer, Status> {
    let form = form(call, target, true)?;
    let options = options::list_options(&call.query, &call.info.name)?;
    let watch = call.front.server.watch(target, &options).await?;
    let body = watch::body(watch, &form, call.front.server.env.clone(), call.front.closing.subscribe())?;
    Ok(respond::answer(200, form.media.format.stream_media_type(), body))
}

/// Runs a write in a task of its own: a client that hangs up cannot tear it.
async fn detached<T: Send + 'static>(
    write: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    match tokio::spawn(write).await {
        Ok(written) => written,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Err(panicked(&*panic)),
            Err(_) => Err(Status::unavailable("the server is shutting down")),
        },
    }
}

async fn write(mut call: Call, target: Target) -> Result<Answer, Status> {
    let form = form(&call, &target, false)?;
    form.of_object()?;
    let (caller, server) = (caller(&call), call.front.server.clone());
    if call.info.verb == Verb::Patch {
        let (kind, encoding) = negotiate::patch_type(call.headers(), form.is_custom)?;
        let options = options::write_options(&call.query, Writing::Patch(kind))?;
        let body = rest::Body::Encoded { bytes: call.read_body().await?, encoding };
        let patch = async move { server.patch(&caller, &target, kind, body, &options).await };
        return written(&form, &detached(patch).await?);
    }
    let is_create = call.info.verb == Verb::Create;
    let encoding = negotiate::body_encoding(call.headers())?;
    let writing = if is_create { Writing::Create } else { Writing::Update };
    let options = options::write_options(&call.query, writing)?;
    let body = rest::Body::Encoded { bytes: call.read_body().await?, encoding };
    let write = async move {
        match is_create {
            true => server.create(&caller, &target, body, &options).await,
            false => server.update(&caller, &target, body, &options).await,
        }
    };
    written(&form, &detached(write).await?)
}

fn written(form: &Form, answered: &Answered) -> Result<Answer, Status> {
    let code = if answered.created { 201 } else { 200 };
    let mut answer = respond(code, form, form.object(&answered.object)?);
    respond::warn(&mut answer, &answered.warnings);
    Ok(answer)
}

/// Decodes a small body of a built-in kind that is not stored: option bodies and reviews.
fn decode(call: &Call, bytes: &Bytes, default: &Gvk) -> Result<Value, Status> {
    use alcove_schema::decode;
    let encoding = match negotiate::body_encoding(call.headers())? {
        Encoding::Json => decode::Encoding::Json,
        Encoding::Yaml => decode::Encoding::Yaml,
        Encoding::Protobuf => decode::Encoding::Protobuf,
    };
    let registry = call.front.server.registry();
    let types = registry.resources().first().map(|resource| &resource.types);
    let decoded = decode::decode(bytes, encoding, Some(default), |kind| types?.kind(kind));
    decoded.map(|decoded| decoded.value).map_err(|error| Status::bad_request(error.to_string()))
}

/// Delete options: those of the body if there is one, otherwise those of the query.
async fn delete_options(call: &mut Call) -> Result<DeleteOptions, Status> {
    let bytes = call.read_body().await?;
    if bytes.is_empty() {
        return options::delete_options(&call.query);
    }
    // Every group has them; the core's stand for all.
    DeleteOptions::read(&decode(call, &bytes, &Gvk::new("", "v1", "DeleteOptions"))?)
}

async fn delete(mut call: Call, target: Target) -> Result<Answer, Status> {
    let form = form(&call, &target, false)?;
    form.of_object()?;
    let options = delete_options(&mut call).await?;
    let (caller, server) = (caller(&call), call.front.server.clone());
    let deleted = detached(async move { server.delete(&caller, &target, &options).await }).await?;
    let code = if deleted.accepted { 202 } else { 200 };
    let mut answer = match &deleted.answer {
        DeletedAnswer::Object(object) => respond(code, &form, form.object(object)?),
        DeletedAnswer::Status(details) => {
            let status = format!("{}\n", rest::success(details));
            respond::json(code, form.media, Body::full(status))
        }
    };
    respond::warn(&mut answer, &deleted.warnings);
    Ok(answer)
}

async fn delete_collection(mut call: Call, target: Target) -> Result<Answer, Status> {
    let form = form(&call, &target, false)?;
    form.of_list()?;
    let list = options::list_options(&call.query, &call.info.name)?;
    let options = delete_options(&mut call).await?;
    let (caller, server) = (caller(&call), call.front.server.clone());
    let delete = async move { server.delete_collection(&caller, &target, &list, &options).await };
    let deleted = detached(delete).await?;
    Ok(respond(200, &form, form.list(deleted)?))
}

/// Answers a review: a question about users that looks like an object and is never stored.
async fn review(mut call: Call, target: Target) -> Result<Answer, Status> {
    // What is not stored has no other form.
    let offer = Offer { has_forms: false, ..Offer::PLAIN };
    let media = negotiate::answer(call.headers(), &call.query, offer)?;
    let encoding = negotiate::body_encoding(call.headers())?;
    let options = options::write_options(&call.query, Writing::Create)?;
    let body = rest::Body::Encoded { bytes: call.read_body().await?, encoding };
    let mut warnings = Vec::new();
    let mut object = rest::decoded(&target, body, options.field_validation, &mut warnings)?;
    let gate = reviews::Gate { authenticator: &call.front.authenticator, server: &call.front.server };
    gate.answer(&call.user, &target, &mut object)
        .await
        .map_err(|status| status.with_warnings(warnings.clone()))?;
    let mut answer = respond::json(201, media, Body::full(format!("{object}\n")));
    respond::warn(&mut answer, &warnings);
    Ok(answer)
}

/// Hands exec, attach, port-forward, logs and the proxies to whoever answers them.
async fn connect(mut call: Call, target: Target) -> Result<Answer, Status> {
    let caller = caller(&call);
    let body = match call.body.take() {
        Some(body) => HttpBody::new(body.map_err(Into::into)),
        None => rest::no_body(),
    };
    let server = call.front.server.clone();
    let tail = std::mem::take(&mut call.info.tail);
    let options = options::connect_options(target.gvk(), &call.query, &tail);
    let request = Request::from_parts(call.head, body);
    let connection = Connection { caller, target, tail, options, request };
    Ok(server.connect(connection).await?.map(Body::foreign))
}
