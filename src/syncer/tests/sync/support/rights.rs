//! What the host lets its tenants do: everything, but for what a test takes away.

use alcove_apiserver::User;
use alcove_apiserver::authorization::{Action, Authorizer};
use parking_lot::Mutex;

#[derive(Default)]
pub struct Rights {
    denied: Mutex<Option<String>>,
}

impl Rights {
    pub fn deny(&self, resource: Option<&str>) {
        *self.denied.lock() = resource.map(str::to_owned);
    }
}

impl Authorizer for Rights {
    fn authorize(&self, user: &User, action: &Action<'_>) -> Result<(), String> {
        let is_tenants = user.name.starts_with("kubernetes-admin");
        let is_read = matches!(action.verb, "list" | "watch");
        match &*self.denied.lock() {
            Some(denied) if is_tenants && is_read && action.resource == denied => Err(String::new()),
            _ => Ok(()),
        }
    }
}
