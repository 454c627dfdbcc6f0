//! Asking what somebody may do (k8s.io/apiserver/pkg/cel/library/authz.go). Who answers is not known here.

use super::Run;
use super::strings::text;
use crate::eval::{Eval, failed, no_overload};
use crate::value::Value;
use alcove_object::name;
use regex::Regex;
use std::fmt::Debug;
use std::sync::Arc;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// Answers what a request's user, or a service account, may do. It must not block.
pub trait Authorizer: Debug + Send + Sync {
    /// The answer to a question.
    fn decide(&self, question: &Question) -> Decision;
}

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the service account that wants it; `None`: the request's user does.
    pub account: Option<(String, String)>,
    /// The path, if it is no resource that is asked about.
    pub path: Option<String>,
    /// API group.
    pub group: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource, empty if none.
    pub subresource: String,
    /// Namespace, empty for all.
    pub namespace: String,
    /// Name, empty for all.
    pub name: String,
    /// The verb.
    pub verb: String,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, if there is something to say.
    pub reason: String,
}

/// A question that is being put together, or its answer.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    authorizer: &'a dyn Authorizer,
    question: Question,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Authorizer,
    Path,
    Group,
    Resource,
    Decided(Decision),
}

impl<'a> Access<'a> {
    /// The value of the variable `authorizer`.
    pub fn of(authorizer: &'a dyn Authorizer) -> Value<'a> {
        Access { authorizer, question: Question::default(), stage: Stage::Authorizer }.value()
    }

    /// The value of a check of a resource, such as the variable `authorizer.requestResource`.
    pub fn of_resource(authorizer: &'a dyn Authorizer, question: Question) -> Value<'a> {
        Access { authorizer, question, stage: Stage::Resource }.value()
    }

    fn value(self) -> Value<'a> {
        Value::Access(Arc::new(self))
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self.stage {
            Stage::Authorizer => AUTHORIZER,
            Stage::Path => "kubernetes.authorization.PathCheck",
            Stage::Group => "kubernetes.authorization.GroupCheck",
            Stage::Resource => RESOURCE_CHECK,
            Stage::Decided(_) => "kubernetes.authorization.Decision",
        }
    }

    /// What the question becomes by one function.
    fn step(mut self, function: &str, given: [&str; 2]) -> Result<Value<'a>, String> {
        let is_blank = given[0].trim().is_empty();
        let word = given[0].to_owned();
        match (&self.stage, function) {
            (Stage::Authorizer, "path") if is_blank => return Err("path must not be empty".to_owned()),
            (Stage::Authorizer, "path") => (self.question.path, self.stage) = (Some(word), Stage::Path),
            (Stage::Authorizer, "group") => (self.question.group, self.stage) = (word, Stage::Group),
            (Stage::Authorizer, "serviceAccount") => {
                let [namespace, account] = given;
                if !name::is_dns1123_subdomain(account).is_empty() {
                    return Err("Invalid service account name".to_owned());
                }
                if !name::is_dns1123_label(namespace).is_empty() {
                    return Err("Invalid service account namespace".to_owned());
                }
                self.question.account = Some((namespace.to_owned(), account.to_owned()));
            }
            (Stage::Group, "resource") if is_blank => return Err("resource must not be empty".to_owned()),
            (Stage::Group, "resource") => (self.question.resource, self.stage) = (word, Stage::Resource),
            (Stage::Resource, "subresource") => self.question.subresource = word,
            (Stage::Resource, "namespace") => self.question.namespace = word,
            (Stage::Resource, "name") => self.question.name = word,
            // Roles know no selectors: whoever may list, may list by them.
            (Stage::Resource, "fieldSelector" | "labelSelector") => {}
            (Stage::Path | Stage::Resource, "check") => {
                self.question.verb = word;
                self.stage = Stage::Decided(self.authorizer.decide(&self.question));
            }
            (Stage::Decided(decision), "allowed") => return Ok(Value::Bool(decision.allowed)),
            (Stage::Decided(decision), "reason") => return Ok(Value::text(decision.reason.clone())),
            // Decisions come from memory: there is nothing that could fail.
            (Stage::Decided(_), "errored") => return Ok(Value::Bool(false)),
            (Stage::Decided(_), "error") => return Ok(Value::text("")),
            _ => return Err("no such overload".to_owned()),
        }
        Ok(self.value())
    }
}

/// The type of the variable `authorizer`.
pub const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
/// The type of the variable `authorizer.requestResource`.
pub const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";

fn run<'a>(args: Args<'_, 'a>, function: &str) -> Eval<'a> {
    let given = [1, 2].map(|i| text(args, i).unwrap_or_default());
    match &args[0] {
        Value::Access(access) => Access::clone(access).step(function, given).or_else(failed),
        _ => no_overload(),
    }
}

macro_rules! steps {
    ($function:expr, $($name:literal),*) => {
        match $function {
            $($name => Some(|args: Args<'_, '_>, _: Option<&Regex>| run(args, $name)),)*
            _ => None,
        }
    };
}

/// A function of this library.
pub fn function(function: &str) -> Option<Run> {
    steps!(
        function,
        "path",
        "group",
        "serviceAccount",
        "resource",
        "subresource",
        "namespace",
        "name",
        "fieldSelector",
        "labelSelector",
        "check",
        "allowed",
        "reason",
        "errored",
        "error"
    )
}
