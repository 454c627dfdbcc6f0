//! ServiceAccounts, for clouds that give rights to them: a name and the annotations that the platform team lets through.
//! They have no rights on the host, and no token of the host's is made for them.

use super::{Context, Wanted, annotations, metadata};
use alcove_object::Value;
use serde_json::json;

/// The host's ServiceAccount.
pub fn service_account(context: &Context<'_>, object: &Value) -> Wanted {
    let mut metadata = metadata(context.tenant, object);
    annotations(&mut metadata, object, &context.allowed.service_accounts.annotations);
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata,
        "automountServiceAccountToken": false,
    })
    .into()
}
