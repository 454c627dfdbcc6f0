//! `storage.k8s.io`, `resource.k8s.io` and `storagemigration.k8s.io`.

use super::columns::storage as columns;
use super::row::{Row, row};
use super::select;
use super::strategies::{cluster, ruled};
use super::warnings;

pub(super) fn storage() -> Vec<Row> {
    let storage = |plural, kind, columns| row("storage.k8s.io/v1", plural, kind, columns);
    vec![
        storage("csidrivers", "CSIDriver", columns::csi_driver)
            .strategy(&ruled::CSI_DRIVER)
            .cluster()
            .counts_spec()
            .conditional()
            .returns_deleted(),
        storage("csinodes", "CSINode", columns::csi_node)
            .strategy(&ruled::CSI_NODE)
            .cluster()
            .conditional()
            .returns_deleted(),
        storage("csistoragecapacities", "CSIStorageCapacity", super::columns::created)
            .strategy(&ruled::CSI_STORAGE_CAPACITY)
            .warns(warnings::storage_capacity)
            .conditional(),
        storage("storageclasses", "StorageClass", columns::storage_class)
            .strategy(&ruled::STORAGE_CLASS)
            .warns(warnings::storage_class)
            .cluster()
            .short(&["sc"])
            .returns_deleted(),
        storage("volumeattachments", "VolumeAttachment", columns::volume_attachment)
            .strategy(&ruled::VOLUME_ATTACHMENT)
            .cluster()
            .status_but(&["metadata"])
            .conditional()
            .returns_deleted(),
        storage("volumeattributesclasses", "VolumeAttributesClass", columns::volume_attributes_class)
            .also(&["v1beta1", "v1alpha1"])
            .strategy(&ruled::VOLUME_ATTRIBUTES_CLASS)
            .cluster()
            .short(&["vac"])
            .returns_deleted(),
    ]
}

pub(super) fn resource() -> Vec<Row> {
    let row = |api, plural, kind, columns| row(api, plural, kind, columns).returns_deleted();
    let resource = |plural, kind, columns| {
        row("resource.k8s.io/v1", plural, kind, columns).also(&["v1beta2", "v1beta1"])
    };
    vec![
        resource("deviceclasses", "DeviceClass", columns::device_class)
            .strategy(&ruled::DEVICE_CLASS)
            .cluster()
            .counts_spec(),
        row("resource.k8s.io/v1", "devicetaintrules", "DeviceTaintRule", columns::device_taint_rule)
            .also(&["v1beta2", "v1alpha3"])
            .strategy(&cluster::DeviceTaintRule)
            .cluster()
            .status_but(&["metadata"])
            .counts_spec(),
        resource("resourceclaims", "ResourceClaim", columns::resource_claim)
            .strategy(&ruled::RESOURCE_CLAIM)
            .older("v1beta1", &ruled::FLAT_CLAIM)
            .status_but(&["metadata"]),
        resource("resourceclaimtemplates", "ResourceClaimTemplate", columns::resource_claim_template)
            .strategy(&ruled::RESOURCE_CLAIM_TEMPLATE)
            .older("v1beta1", &ruled::FLAT_CLAIM_TEMPLATE),
        row(
            "resource.k8s.io/v1alpha3",
            "resourcepoolstatusrequests",
            "ResourcePoolStatusRequest",
            columns::resource_pool_status_request,
        )
        .strategy(&ruled::RESOURCE_POOL_STATUS_REQUEST)
        .cluster()
        .status_but(&["metadata"])
        .conditional(),
        resource("resourceslices", "ResourceSlice", columns::resource_slice)
            .strategy(&ruled::RESOURCE_SLICE)
            .older("v1beta1", &ruled::FLAT_SLICE)
            .cluster()
            .counts_spec()
            .selectable(select::RESOURCE_SLICE),
    ]
}

pub(super) fn storage_migration() -> Vec<Row> {
    vec![
        row(
            "storagemigration.k8s.io/v1",
            "storageversionmigrations",
            "StorageVersionMigration",
            columns::storage_version_migration,
        )
        .also(&["v1beta1", "v1alpha1"])
        .strategy(&ruled::STORAGE_VERSION_MIGRATION)
        .cluster()
        .status_but(&["metadata"])
        .conditional(),
    ]
}
