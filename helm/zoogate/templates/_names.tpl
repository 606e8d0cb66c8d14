{{/* Names and labels. The context of every template is that of this chart: `.`, or `.Subcharts.zoogate` in a parent. */}}

{{- define "zoogate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "zoogate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "zoogate.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zoogate.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "zoogate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "zoogate.name" . | toYaml }}
app.kubernetes.io/instance: {{ toYaml .Release.Name }}
{{- end }}

{{- define "zoogate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "zoogate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: zookeeper
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What stands under `metadata:`. `list CONTEXT NAME [LABELS [ANNOTATIONS]]` */}}
{{- define "zoogate.metadata" -}}
{{- $ := index . 0 }}
{{- $labels := merge dict (include "zoogate.labels" $ | fromYaml) }}
{{- $annotations := deepCopy $.Values.commonAnnotations }}
{{- if gt (len .) 2 }}{{ $labels = mergeOverwrite $labels (index . 2) }}{{ end }}
{{- if gt (len .) 3 }}{{ $annotations = mergeOverwrite $annotations (index . 3) }}{{ end -}}
name: {{ index . 1 | toYaml }}
namespace: {{ include "zoogate.namespace" $ | toYaml }}
labels: {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Labels of the pods that have the gate, as YAML. */}}
{{- define "zoogate.podSelector" -}}
{{- if .Values.podSelector }}
{{- toYaml .Values.podSelector }}
{{- else if .Values.ensemble.enabled }}
{{- include "zoogate.selectorLabels" . }}
app.kubernetes.io/component: zookeeper
{{- else if .Values.inject.enabled }}
{{- toYaml .Values.inject.podLabels }}
{{- else }}
{{- fail "podSelector: name the labels of the pods that have the gate, for the policies and monitors that select them" }}
{{- end }}
{{- end }}

{{/* A whole image name. `dict "image" IMAGE "tag" DEFAULT` */}}
{{- define "zoogate.imageName" -}}
{{- with .image.registry }}{{ . }}/{{ end -}}
{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .tag .image.tag }}{{ end }}
{{- end }}

{{- define "zoogate.image" -}}
{{- include "zoogate.imageName" (dict "image" .Values.image "tag" .Chart.AppVersion) }}
{{- end }}

{{- define "zoogate.kubeVersion" -}}
{{- default .Capabilities.KubeVersion.Version .Values.kubeVersion | trimPrefix "v" }}
{{- end }}

{{/* "true" where the gate is an init container that stays. */}}
{{- define "zoogate.native" -}}
{{- $wish := toString .Values.nativeSidecar }}
{{- if eq $wish "auto" }}
{{- if semverCompare ">=1.29-0" (include "zoogate.kubeVersion" .) }}true{{ end }}
{{- else if eq $wish "true" }}true
{{- end }}
{{- end }}

{{- define "zoogate.secretName" -}}
{{- default (printf "%s-secret" (include "zoogate.fullname" .)) .Values.secret.existingSecret }}
{{- end }}

{{- define "zoogate.certificateName" -}}
{{- default (printf "%s-tls" (include "zoogate.fullname" .)) .Values.tls.secret.name }}
{{- end }}

{{- define "zoogate.headless" -}}
{{- include "zoogate.fullname" . }}-headless
{{- end }}

{{/* "true" where the chart makes a NetworkPolicy: for the ensemble unless it is switched off, else where it is switched on. */}}
{{- define "zoogate.networkPolicyEnabled" -}}
{{- if kindIs "invalid" .Values.networkPolicy.enabled }}{{ if .Values.ensemble.enabled }}true{{ end }}
{{- else if .Values.networkPolicy.enabled }}true{{ end }}
{{- end }}
