{{/* What selects the pod of the control plane. Synced objects never carry these labels. */}}
{{- define "alcove.selector" -}}
app.kubernetes.io/name: alcove
app.kubernetes.io/instance: {{ .Release.Name }}
alcove.dev/tenant: {{ .Release.Name }}
{{- end }}

{{/* What selects the tenant's pods. */}}
{{- define "alcove.synced" -}}
alcove.dev/cluster: {{ .Release.Name }}
{{- end }}

{{- define "alcove.labels" -}}
{{ include "alcove.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* The name of cluster-wide objects; no two releases have the same. */}}
{{- define "alcove.clusterWideName" -}}
alcove:{{ .Release.Namespace }}:{{ .Release.Name }}
{{- end }}

{{/* The configuration as the process reads it: the values, and what follows from the release and from the pod. JSON is
     YAML. The CLI writes the same bytes, so a release that helm adopts does not roll. */}}
{{- define "alcove.config" -}}
{{- $release := dict
  "apiVersion" "alcove.dev/v1alpha1"
  "kind" "Config"
  "host" (dict "name" .Release.Name "namespace" .Release.Namespace)
  "data" "/var/lib/alcove/data"
  "port" 8443 -}}
{{- toPrettyJson (merge $release (deepCopy (omit .Values "global"))) -}}
{{- end }}

{{/* Whether the tenant sees the host's nodes as they are. */}}
{{- define "alcove.seesNodes" -}}
{{- if or .Values.sync.nodes.selector .Values.sync.nodes.labels }}true{{ end -}}
{{- end }}

{{/* Ends the installation, with a sentence, where it could not work. */}}
{{- define "alcove.check" -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" .Release.Name) }}
  {{- fail (printf "the release's name %q is no name for a tenant: use small letters, digits and dashes" .Release.Name) }}
{{- end }}
{{- if gt (len .Release.Name) 40 }}
  {{- fail (printf "the release's name %q must have at most 40 characters: it stands in the names of all its objects" .Release.Name) }}
{{- end }}
{{- if and .Values.expose.ingress.enabled (not .Values.expose.ingress.host) }}
  {{- fail "expose.ingress.host must be set when the Ingress is enabled" }}
{{- end }}
{{- if and .Values.expose.tlsRoute.enabled (not .Values.expose.tlsRoute.hosts) }}
  {{- fail "expose.tlsRoute.hosts must be set when the TLSRoute is enabled" }}
{{- end }}
{{- range (lookup "v1" "Service" .Release.Namespace "").items }}
  {{- $other := dig "metadata" "labels" "alcove.dev/tenant" "" . }}
  {{- if and $other (ne $other $.Release.Name) (not (has $other $.Values.isolation.sharedWith)) }}
    {{- fail (printf "the tenant %q lives in namespace %q already; choose another namespace, or name it in isolation.sharedWith of both" $other $.Release.Namespace) }}
  {{- end }}
{{- end }}
{{- end }}
