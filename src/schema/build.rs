//! Collects the descriptions of built-in types for OpenAPI documents, at build time.
//!
//! They are taken from the crate that publishes them and go, deflated, into one file under OUT_DIR that `openapi`
//! includes. They are never committed: the type table holds facts, and a megabyte of prose would drown its diffs.

use flate2::{Compression, write::DeflateEncoder};
use k8s_openapi::schemars::SchemaGenerator;
use serde_json::{Map, Value};
use std::io::{Error, Write};
use std::path::PathBuf;

/// Asks the generator for every kind named; it collects what they refer to by itself.
macro_rules! kinds {
    ($generator:ident, $($($path:ident)::+: $($kind:ident),+;)+) => {
        $({
            use k8s_openapi::$($path)::+ as module;
            $($generator.subschema_for::<module::$kind>();)+
        })+
    };
}

fn main() -> Result<(), Error> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut generator = SchemaGenerator::default();
    collect(&mut generator);
    let mut descriptions = Map::new();
    for (name, schema) in generator.definitions() {
        descriptions.insert(name.clone(), Value::Object(described(schema)));
    }
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| Error::other("OUT_DIR is set by cargo"))?;
    let mut file = DeflateEncoder::new(Vec::new(), Compression::best());
    file.write_all(Value::Object(descriptions).to_string().as_bytes())?;
    std::fs::write(PathBuf::from(out).join("descriptions.deflate"), file.finish()?)
}

/// The description of a definition under the empty key, and those of its fields under their names.
fn described(schema: &Value) -> Map<String, Value> {
    let own = schema.get("description").map(|text| (String::new(), text.clone()));
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let texts = fields.filter_map(|(name, field)| Some((name.clone(), field.get("description")?.clone())));
    own.into_iter().chain(texts).collect()
}

fn collect(generator: &mut SchemaGenerator) {
    kinds! { generator,
        api::admissionregistration::v1: MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
            ValidatingWebhookConfiguration;
        api::admissionregistration::v1alpha1: MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding;
        api::admissionregistration::v1beta1: MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding;
        api::apiserverinternal::v1alpha1: StorageVersion;
        api::apps::v1: ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet;
        api::authentication::v1: SelfSubjectReview, TokenRequest, TokenReview;
        api::authorization::v1: LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview,
            SubjectAccessReview;
        api::autoscaling::v1: HorizontalPodAutoscaler, Scale;
        api::autoscaling::v2: HorizontalPodAutoscaler;
        api::batch::v1: CronJob, Job;
        api::certificates::v1: CertificateSigningRequest, ClusterTrustBundle, PodCertificateRequest;
        api::certificates::v1beta1: ClusterTrustBundle, PodCertificateRequest;
        api::coordination::v1: Lease;
        api::coordination::v1alpha2: LeaseCandidate;
        api::coordination::v1beta1: LeaseCandidate;
        api::core::v1: Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node,
            PersistentVolume, PersistentVolumeClaim, Pod, PodTemplate, ReplicationController,
            ResourceQuota, Secret, Service, ServiceAccount;
        api::discovery::v1: EndpointSlice;
        api::events::v1: Event;
        api::flowcontrol::v1: FlowSchema, PriorityLevelConfiguration;
        api::lifecycle::v1alpha1: Eviction, EvictionRequest;
        api::networking::v1: IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR;
        api::node::v1: RuntimeClass;
        api::policy::v1: Eviction, PodDisruptionBudget;
        api::rbac::v1: ClusterRole, ClusterRoleBinding, Role, RoleBinding;
        api::resource::v1: DeviceClass, DeviceTaintRule, ResourceClaim, ResourceClaimTemplate,
            ResourceSlice;
        api::resource::v1alpha3: DeviceTaintRule, ResourcePoolStatusRequest;
        api::resource::v1beta1: DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice;
        api::resource::v1beta2: DeviceClass, DeviceTaintRule, ResourceClaim, ResourceClaimTemplate,
            ResourceSlice;
        api::scheduling::v1: PriorityClass;
        api::scheduling::v1alpha3: CompositePodGroup, PodGroup, Workload;
        api::scheduling::v1beta1: PodGroup, Workload;
        api::storage::v1: CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment,
            VolumeAttributesClass;
        api::storagemigration::v1: StorageVersionMigration;
        api::storagemigration::v1beta1: StorageVersionMigration;
        apiextensions_apiserver::pkg::apis::apiextensions::v1: CustomResourceDefinition;
        apimachinery::pkg::apis::meta::v1: APIGroup, APIGroupList, APIResourceList, APIVersions,
            DeleteOptions, Status;
        kube_aggregator::pkg::apis::apiregistration::v1: APIService;
    }
}
