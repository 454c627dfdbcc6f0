//! The features whose fields are off in some minor that is served, and from which minor on they are on by default
//! (k8s.io/kubernetes/pkg/features/kube_features.go of 1.34 to 1.36; for 1.37 the words of k8s.io/api). Nobody switches
//! features here.
//!
//! A field that some minor does not have stands here all the same: it cannot be written there. Not here is what upstream
//! does not simply drop: claims with a source in another namespace, and restart policies of containers in 1.34.

use crate::registry::Gated;
use alcove_schema::Minor;

/// A feature, the first minor with it on, and its fields: the type, without what all definitions begin with, and the name.
type Feature = (&'static str, Option<u8>, &'static [(&'static str, &'static str)]);

/// Off in all minors that are served.
const NEVER: Option<u8> = None;

const FEATURES: &[Feature] = &[
    (
        "AtomicWriteVolumeUserFields",
        NEVER,
        &[
            ("core.v1.ClusterTrustBundleProjection", "user"),
            ("core.v1.ConfigMapVolumeSource", "defaultUser"),
            ("core.v1.DownwardAPIVolumeFile", "user"),
            ("core.v1.DownwardAPIVolumeSource", "defaultUser"),
            ("core.v1.KeyToPath", "user"),
            ("core.v1.PodCertificateProjection", "user"),
            ("core.v1.ProjectedVolumeSource", "defaultUser"),
            ("core.v1.SecretVolumeSource", "defaultUser"),
            ("core.v1.ServiceAccountTokenProjection", "user"),
        ],
    ),
    (
        "CSIVolumeHealth",
        NEVER,
        &[
            ("core.v1.PersistentVolumeClaimStatus", "healthStatus"),
            ("core.v1.PodStatus", "volumeHealth"),
            ("storage.v1.CSINodeStatus", "storageHealth"),
        ],
    ),
    ("ClusterTrustBundleProjection", NEVER, &[("core.v1.VolumeProjection", "clusterTrustBundle")]),
    (
        "ContainerRestartRules",
        Some(35),
        &[("core.v1.Container", "restartPolicyRules"), ("core.v1.EphemeralContainer", "restartPolicyRules")],
    ),
    (
        "ContainerStopSignals",
        NEVER,
        &[("core.v1.ContainerStatus", "stopSignal"), ("core.v1.Lifecycle", "stopSignal")],
    ),
    (
        "CoordinatedLeaderElection",
        NEVER,
        &[("coordination.v1.LeaseSpec", "preferredHolder"), ("coordination.v1.LeaseSpec", "strategy")],
    ),
    (
        "DRAConsumableCapacity",
        Some(36),
        &[
            ("resource.v1.AllocatedDeviceStatus", "shareID"),
            ("resource.v1.Device", "allowMultipleAllocations"),
            ("resource.v1.DeviceCapacity", "requestPolicy"),
            ("resource.v1.DeviceConstraint", "distinctAttribute"),
            ("resource.v1.DeviceRequestAllocationResult", "consumedCapacity"),
            ("resource.v1.DeviceRequestAllocationResult", "shareID"),
            ("resource.v1.DeviceSubRequest", "capacity"),
            ("resource.v1.ExactDeviceRequest", "capacity"),
        ],
    ),
    (
        "DRADerivedAttributes",
        NEVER,
        &[
            ("resource.v1.DeviceSubRequest", "derivedAttributes"),
            ("resource.v1.ExactDeviceRequest", "derivedAttributes"),
        ],
    ),
    (
        "DRADeviceBindingConditions",
        Some(36),
        &[
            ("resource.v1.AllocationResult", "allocationTimestamp"),
            ("resource.v1.Device", "bindingConditions"),
            ("resource.v1.Device", "bindingFailureConditions"),
            ("resource.v1.Device", "bindsToNode"),
            ("resource.v1.DeviceRequestAllocationResult", "bindingConditions"),
            ("resource.v1.DeviceRequestAllocationResult", "bindingFailureConditions"),
        ],
    ),
    (
        "DRADeviceCompatibilityGroups",
        NEVER,
        &[("resource.v1.DeviceCounterConsumption", "compatibilityGroups")],
    ),
    (
        "DRADeviceTaints",
        Some(36),
        &[
            ("resource.v1.Device", "taints"),
            ("resource.v1.DeviceRequestAllocationResult", "tolerations"),
            ("resource.v1.DeviceSubRequest", "tolerations"),
            ("resource.v1.ExactDeviceRequest", "tolerations"),
        ],
    ),
    (
        "DRAExtendedResource",
        Some(36),
        &[
            ("core.v1.PodStatus", "extendedResourceClaimStatus"),
            ("resource.v1.DeviceClassSpec", "extendedResourceName"),
        ],
    ),
    (
        "DRAListTypeAttributes",
        NEVER,
        &[
            ("resource.v1.DeviceAttribute", "bools"),
            ("resource.v1.DeviceAttribute", "ints"),
            ("resource.v1.DeviceAttribute", "strings"),
            ("resource.v1.DeviceAttribute", "versions"),
        ],
    ),
    (
        "DRANodeAllocatableResources",
        NEVER,
        &[
            ("core.v1.PodStatus", "nodeAllocatableResourceClaimStatuses"),
            ("resource.v1.Device", "nodeAllocatableResourceMappings"),
            ("resource.v1.Device", "nodeAllocatableResources"),
        ],
    ),
    (
        "DRAOptionalNodeOperations",
        NEVER,
        &[
            ("resource.v1.DeviceRequestAllocationResult", "skipNodeOperations"),
            ("resource.v1.ResourceSliceSpec", "skipNodeOperations"),
        ],
    ),
    (
        "DRAPartitionableDevices",
        Some(36),
        &[
            ("resource.v1.Device", "allNodes"),
            ("resource.v1.Device", "consumesCounters"),
            ("resource.v1.Device", "nodeName"),
            ("resource.v1.Device", "nodeSelector"),
            ("resource.v1.ResourceSliceSpec", "perDeviceNodeSelection"),
            ("resource.v1.ResourceSliceSpec", "sharedCounters"),
        ],
    ),
    ("DRAPartitionableDevicesType", NEVER, &[("resource.v1.ResourceSliceSpec", "partitionTypeAttribute")]),
    (
        "DeploymentReplicaSetTerminatingReplicas",
        Some(35),
        &[
            ("apps.v1.DeploymentStatus", "terminatingReplicas"),
            ("apps.v1.ReplicaSetStatus", "terminatingReplicas"),
        ],
    ),
    ("EmptyDirVolumeMode", NEVER, &[("core.v1.EmptyDirVolumeSource", "mode")]),
    ("EnvFiles", Some(35), &[("core.v1.EnvVarSource", "fileKeyRef")]),
    ("EvictionRequestAPI", NEVER, &[("core.v1.PodSpec", "evictionResponders")]),
    ("GRPCContainerProbeTLS", NEVER, &[("core.v1.GRPCAction", "mode")]),
    ("GenericWorkload", NEVER, &[("core.v1.PodSpec", "schedulingGroup"), ("core.v1.PodSpec", "workloadRef")]),
    ("H2CContainerProbe", NEVER, &[("core.v1.HTTPGetAction", "protocol")]),
    ("HPAConfigurableTolerance", Some(35), &[("autoscaling.v2.HPAScalingRules", "tolerance")]),
    ("HostnameOverride", Some(35), &[("core.v1.PodSpec", "hostnameOverride")]),
    ("ImageVolume", Some(35), &[("core.v1.Volume", "image")]),
    ("ImageVolumeWithDigest", NEVER, &[("core.v1.VolumeMountStatus", "volumeStatus")]),
    (
        "InPlacePodLevelResourcesVerticalScaling",
        Some(36),
        &[("core.v1.PodStatus", "allocatedResources"), ("core.v1.PodStatus", "resources")],
    ),
    ("InPlacePodVerticalScalingSchedulerPreemption", NEVER, &[("core.v1.NodeSpec", "podPreemptionPolicy")]),
    (
        "MaxUnavailableStatefulSet",
        Some(37),
        &[("apps.v1.RollingUpdateStatefulSetStrategy", "maxUnavailable")],
    ),
    (
        "MutableCSINodeAllocatableCount",
        Some(35),
        &[
            ("storage.v1.CSIDriverSpec", "nodeAllocatableUpdatePeriodSeconds"),
            ("storage.v1.VolumeError", "errorCode"),
        ],
    ),
    ("NodeDeclaredFeatures", Some(36), &[("core.v1.NodeStatus", "declaredFeatures")]),
    ("PodCertificateRequest", Some(37), &[("core.v1.VolumeProjection", "podCertificate")]),
    ("ResourceHealthStatus", Some(36), &[("core.v1.ContainerStatus", "allocatedResourcesStatus")]),
    ("VolumeBindMountOptions", NEVER, &[("core.v1.VolumeMount", "bindMountOptions")]),
    ("VolumeLimitScaling", Some(37), &[("storage.v1.CSIDriverSpec", "preventPodSchedulingIfMissing")]),
    ("WorkloadWithJob", NEVER, &[("batch.v1.JobSpec", "scheduling")]),
];

/// The fields that are off in a minor.
pub(super) fn off(minor: Minor) -> impl Iterator<Item = Gated> {
    let is_off = move |on: &Option<u8>| on.is_none_or(|on| minor < Minor(on));
    FEATURES.iter().filter(move |(_, on, _)| is_off(on)).flat_map(|(feature, _, fields)| {
        fields.iter().map(|&(definition, field)| Gated { definition, field, feature })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alcove_schema::builtin;

    #[test]
    fn every_field_is_one_of_some_minor_and_off_there_or_before() {
        for (feature, on, fields) in FEATURES {
            for (definition, field) in *fields {
                let name = format!("io.k8s.api.{definition}");
                let has = |minor: &u8| {
                    let types = builtin::types(Minor(*minor));
                    types.named(&name).is_some_and(|view| view.field(field).is_some())
                };
                let first = (34..=37).find(has);
                assert!(first.is_some(), "{feature}: {definition} has no {field}");
                assert!(on.is_none_or(|on| first < Some(on)), "{feature}: {definition}.{field} is never off");
            }
        }
    }
}
