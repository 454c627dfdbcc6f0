package main

import (
	definition "k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kube-aggregator/pkg/registry/apiservice"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/apps/controllerrevision"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/certificates/certificates"
	"k8s.io/kubernetes/pkg/registry/coordination/lease"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/endpoint"
	"k8s.io/kubernetes/pkg/registry/core/event"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/node"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/podtemplate"
	"k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/discovery/endpointslice"
	"k8s.io/kubernetes/pkg/registry/flowcontrol/flowschema"
	"k8s.io/kubernetes/pkg/registry/flowcontrol/prioritylevelconfiguration"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/ingressclass"
	"k8s.io/kubernetes/pkg/registry/networking/ipaddress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/networking/servicecidr"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/resource/deviceclass"
	"k8s.io/kubernetes/pkg/registry/resource/resourceclaim"
	"k8s.io/kubernetes/pkg/registry/resource/resourceclaimtemplate"
	"k8s.io/kubernetes/pkg/registry/resource/resourceslice"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	"k8s.io/kubernetes/pkg/registry/storage/csidriver"
	"k8s.io/kubernetes/pkg/registry/storage/csinode"
	"k8s.io/kubernetes/pkg/registry/storage/csistoragecapacity"
	"k8s.io/kubernetes/pkg/registry/storage/storageclass"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattachment"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattributesclass"
)

// strategy is what upstream's store asks about a kind on every write.
type strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

func kind(group, kind string) schema.GroupKind {
	return schema.GroupKind{Group: group, Kind: kind}
}

var strategies = map[schema.GroupKind]strategy{
	kind("", "ConfigMap"):             configmap.Strategy,
	kind("", "Endpoints"):             endpoint.Strategy,
	kind("", "Event"):                 event.Strategy,
	kind("", "LimitRange"):            limitrange.Strategy,
	kind("", "Namespace"):             namespace.Strategy,
	kind("", "Node"):                  node.Strategy,
	kind("", "PersistentVolume"):      persistentvolume.Strategy,
	kind("", "PersistentVolumeClaim"): persistentvolumeclaim.Strategy,
	kind("", "Pod"):                   pod.Strategy,
	kind("", "PodTemplate"):           podtemplate.Strategy,
	kind("", "ReplicationController"): replicationcontroller.Strategy,
	kind("", "ResourceQuota"):         resourcequota.Strategy,
	kind("", "Secret"):                secret.Strategy,
	kind("", "Service"):               service.Strategy,
	kind("", "ServiceAccount"):        serviceaccount.Strategy,

	kind("admissionregistration.k8s.io", "MutatingAdmissionPolicy"):          mutatingadmissionpolicy.NewStrategy(nil, nil),
	kind("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"):   mutatingadmissionpolicybinding.NewStrategy(nil, nil, nil),
	kind("admissionregistration.k8s.io", "MutatingWebhookConfiguration"):     mutatingwebhookconfiguration.Strategy,
	kind("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"):        validatingadmissionpolicy.NewStrategy(nil, nil),
	kind("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): validatingadmissionpolicybinding.NewStrategy(nil, nil, nil),
	kind("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"):   validatingwebhookconfiguration.Strategy,

	kind("apiextensions.k8s.io", "CustomResourceDefinition"): definition.NewStrategy(scheme),
	kind("apiregistration.k8s.io", "APIService"):             apiservice.NewStrategy(scheme),

	kind("apps", "ControllerRevision"): controllerrevision.Strategy,
	kind("apps", "DaemonSet"):          daemonset.Strategy,
	kind("apps", "Deployment"):         deployment.Strategy,
	kind("apps", "ReplicaSet"):         replicaset.Strategy,
	kind("apps", "StatefulSet"):        statefulset.Strategy,

	kind("autoscaling", "HorizontalPodAutoscaler"):           horizontalpodautoscaler.Strategy,
	kind("batch", "CronJob"):                                 cronjob.Strategy,
	kind("batch", "Job"):                                     job.Strategy,
	kind("certificates.k8s.io", "CertificateSigningRequest"): certificates.Strategy,
	kind("coordination.k8s.io", "Lease"):                     lease.Strategy,
	kind("discovery.k8s.io", "EndpointSlice"):                endpointslice.Strategy,
	kind("events.k8s.io", "Event"):                           event.Strategy,

	kind("flowcontrol.apiserver.k8s.io", "FlowSchema"):                 flowschema.Strategy,
	kind("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): prioritylevelconfiguration.Strategy,

	kind("networking.k8s.io", "IPAddress"):     ipaddress.Strategy,
	kind("networking.k8s.io", "Ingress"):       ingress.Strategy,
	kind("networking.k8s.io", "IngressClass"):  ingressclass.Strategy,
	kind("networking.k8s.io", "NetworkPolicy"): networkpolicy.Strategy,
	kind("networking.k8s.io", "ServiceCIDR"):   servicecidr.Strategy,

	kind("node.k8s.io", "RuntimeClass"):   runtimeclass.Strategy,
	kind("policy", "PodDisruptionBudget"): poddisruptionbudget.Strategy,

	kind("rbac.authorization.k8s.io", "ClusterRole"):        clusterrole.Strategy,
	kind("rbac.authorization.k8s.io", "ClusterRoleBinding"): clusterrolebinding.Strategy,
	kind("rbac.authorization.k8s.io", "Role"):               role.Strategy,
	kind("rbac.authorization.k8s.io", "RoleBinding"):        rolebinding.Strategy,

	kind("resource.k8s.io", "DeviceClass"):           deviceclass.Strategy,
	kind("resource.k8s.io", "ResourceClaim"):         resourceclaim.NewStrategy(nil, nil),
	kind("resource.k8s.io", "ResourceClaimTemplate"): resourceclaimtemplate.NewStrategy(nil),
	kind("resource.k8s.io", "ResourceSlice"):         resourceslice.Strategy,

	kind("scheduling.k8s.io", "PriorityClass"): priorityclass.Strategy,

	kind("storage.k8s.io", "CSIDriver"):             csidriver.Strategy,
	kind("storage.k8s.io", "CSINode"):               csinode.Strategy,
	kind("storage.k8s.io", "CSIStorageCapacity"):    csistoragecapacity.Strategy,
	kind("storage.k8s.io", "StorageClass"):          storageclass.Strategy,
	kind("storage.k8s.io", "VolumeAttachment"):      volumeattachment.Strategy,
	kind("storage.k8s.io", "VolumeAttributesClass"): volumeattributesclass.Strategy,
}

// claims may be given to everybody: whom they may be given by is asked elsewhere.
var claims = resourceclaim.NewStrategy(nil, authorizerfactory.NewAlwaysAllowAuthorizer())

// throughSubresource are the strategies of writes through a subresource.
var throughSubresource = map[string]map[schema.GroupKind]rest.RESTUpdateStrategy{
	"status": {
		kind("", "Namespace"):                              namespace.StatusStrategy,
		kind("", "Node"):                                   node.StatusStrategy,
		kind("", "PersistentVolume"):                       persistentvolume.StatusStrategy,
		kind("", "PersistentVolumeClaim"):                  persistentvolumeclaim.StatusStrategy,
		kind("", "Pod"):                                    pod.StatusStrategy,
		kind("", "ReplicationController"):                  replicationcontroller.StatusStrategy,
		kind("", "ResourceQuota"):                          resourcequota.StatusStrategy,
		kind("", "Service"):                                service.StatusStrategy,
		kind("flowcontrol.apiserver.k8s.io", "FlowSchema"): flowschema.StatusStrategy,
		kind("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): prioritylevelconfiguration.StatusStrategy,
		kind("apps", "DaemonSet"):                                daemonset.StatusStrategy,
		kind("apps", "Deployment"):                               deployment.StatusStrategy,
		kind("apps", "ReplicaSet"):                               replicaset.StatusStrategy,
		kind("apps", "StatefulSet"):                              statefulset.StatusStrategy,
		kind("autoscaling", "HorizontalPodAutoscaler"):           horizontalpodautoscaler.StatusStrategy,
		kind("batch", "CronJob"):                                 cronjob.StatusStrategy,
		kind("batch", "Job"):                                     job.StatusStrategy,
		kind("certificates.k8s.io", "CertificateSigningRequest"): certificates.StatusStrategy,
		kind("networking.k8s.io", "Ingress"):                     ingress.StatusStrategy,
		kind("networking.k8s.io", "ServiceCIDR"):                 servicecidr.StatusStrategy,
		kind("policy", "PodDisruptionBudget"):                    poddisruptionbudget.StatusStrategy,
		kind("resource.k8s.io", "ResourceClaim"):                 resourceclaim.NewStatusStrategy(claims),
		kind("storage.k8s.io", "VolumeAttachment"):               volumeattachment.StatusStrategy,
	},
	"ephemeralcontainers": {kind("", "Pod"): pod.EphemeralContainersStrategy},
	"resize":              {kind("", "Pod"): pod.ResizeStrategy},
	"finalize":            {kind("", "Namespace"): namespace.FinalizeStrategy},
	"approval":            {kind("certificates.k8s.io", "CertificateSigningRequest"): certificates.ApprovalStrategy},
}
