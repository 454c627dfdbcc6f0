//! `storage.k8s.io/v1`, `resource.k8s.io/v1` and `storagemigration.k8s.io/v1`.

use super::columns::storage as columns;
use super::row::{Row, row};
use super::select;
use super::strategies::ruled;

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
            .conditional(),
        storage("storageclasses", "StorageClass", columns::storage_class)
            .strategy(&ruled::STORAGE_CLASS)
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
            .strategy(&ruled::VOLUME_ATTRIBUTES_CLASS)
            .cluster()
            .short(&["vac"])
            .returns_deleted(),
    ]
}

pub(super) fn resource() -> Vec<Row> {
    let resource = |plural, kind, columns| row("resource.k8s.io/v1", plural, kind, columns).returns_deleted();
    vec![
        resource("deviceclasses", "DeviceClass", columns::device_class)
            .strategy(&ruled::DEVICE_CLASS)
            .cluster()
            .counts_spec(),
        resource("devicetaintrules", "DeviceTaintRule", columns::device_taint_rule)
            .cluster()
            .status_but(&["metadata"])
            .counts_spec()
            .since(37),
        resource("resourceclaims", "ResourceClaim", columns::resource_claim)
            .strategy(&ruled::RESOURCE_CLAIM)
            .status_but(&["metadata"]),
        resource("resourceclaimtemplates", "ResourceClaimTemplate", columns::resource_claim_template)
            .strategy(&ruled::RESOURCE_CLAIM_TEMPLATE),
        resource("resourceslices", "ResourceSlice", columns::resource_slice)
            .strategy(&ruled::RESOURCE_SLICE)
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
        .cluster()
        .status_but(&["metadata"])
        .conditional()
        .since(37),
    ]
}
