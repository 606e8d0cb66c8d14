{{/* A value as a literal of CEL, which wants the items of a map or list to be of one type, and so is told of none. */}}
{{- define "zoogate.cel" -}}
{{- if kindIs "map" . -}}
{ {{- $first := true }}
{{- range $key, $value := . }}
{{- if not $first }}, {{ end }}{{ $first = false }}{{ toJson $key }}: dyn({{ include "zoogate.cel" $value }})
{{- end -}} }
{{- else if kindIs "slice" . -}}
[ {{- range $index, $value := . }}
{{- if $index }}, {{ end }}dyn({{ include "zoogate.cel" $value }})
{{- end -}} ]
{{- else -}}
{{- toJson . }}
{{- end -}}
{{- end }}

{{- define "zoogate.injectApiVersion" -}}
{{- if .Values.inject.apiVersion }}
{{- .Values.inject.apiVersion }}
{{- else if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}v1
{{- else if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy" }}v1beta1
{{- else }}
{{- fail "inject.enabled: this cluster serves no MutatingAdmissionPolicy (Kubernetes 1.36, or 1.34 with its feature gate); use the templates or the examples for your chart instead" }}
{{- end }}
{{- end }}
