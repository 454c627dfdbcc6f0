//! Who sends a request, as authentication established it.

/// The group of all who proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";

/// A user, as authorization, admission, audit and `SelfSubjectReview` see it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct User {
    /// Name, such as `system:serviceaccount:default:builder`.
    pub name: String,
    /// UID, often empty.
    pub uid: String,
    /// Groups, such as `system:masters`.
    pub groups: Vec<String>,
    /// Further facts by key.
    pub extra: Vec<(String, Vec<String>)>,
}

impl User {
    /// A component that runs inside this process, such as a controller: a member of `system:masters`.
    pub fn component(name: &str) -> User {
        User {
            name: name.to_owned(),
            groups: vec!["system:masters".into(), AUTHENTICATED.into()],
            ..User::default()
        }
    }

    /// A service account, as far as its name says who it is.
    pub fn service_account(namespace: &str, name: &str) -> User {
        User {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")],
            ..User::default()
        }
    }

    /// Nobody in particular.
    pub fn anonymous() -> User {
        User {
            name: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
            ..User::default()
        }
    }
}
