{{/* The gate's container and what the pod around it needs. */}}

{{/* Ports of the gate: a list. */}}
{{- define "zoogate.ports" -}}
- name: secure-client
  containerPort: {{ .Values.listen.port }}
  protocol: TCP
- name: zoogate-admin
  containerPort: {{ .Values.admin.port }}
  protocol: TCP
{{- end }}

{{- define "zoogate.volumeMounts" -}}
- name: zoogate
  mountPath: /etc/zoogate
  readOnly: true
{{- if .Values.tls.csi.enabled }}
- name: zoogate-tls
  mountPath: /etc/zoogate-tls
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A probe of `live` or `ready`. `list CONTEXT WHAT VALUES` */}}
{{- define "zoogate.probe" -}}
{{- $ := index . 0 }}
{{- $what := index . 1 }}
{{- if or $.Values.probes.exec (include "zoogate.adminOnLoopback" $) }}
{{- $time := sub (mul 1000 (default 1 (index . 2).timeoutSeconds)) 300 }}
{{- /* Not by the configuration: one that can't be used would end gates that go on with what they have. */}}
exec:
  command: [/usr/bin/zoogate, probe, --{{ $what }}, --admin, "{{ $.Values.admin.host }}:{{ $.Values.admin.port }}", --timeout, {{ $time }}ms]
{{- else }}
httpGet:
  path: {{ ternary "/readyz" "/livez" (eq $what "ready") }}
  port: zoogate-admin
{{- end }}
{{ toYaml (index . 2) }}
{{- end }}

{{/* The gate's container: one item of `initContainers:` or, where "zoogate.native" is empty, of `containers:`. */}}
{{- define "zoogate.container" -}}
- name: zoogate
  image: {{ include "zoogate.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if include "zoogate.native" . }}
  restartPolicy: Always
  {{- end }}
  args: [run, --config, /etc/zoogate/zoogate.yaml]
  {{- with .Values.extraEnv }}
  env: {{- toYaml . | nindent 4 }}
  {{- end }}
  ports: {{- include "zoogate.ports" . | nindent 4 }}
  {{- if include "zoogate.native" . }}
  startupProbe: {{- include "zoogate.probe" (list . "live" .Values.probes.startup) | trim | nindent 4 }}
  {{- end }}
  readinessProbe: {{- include "zoogate.probe" (list . "ready" .Values.probes.readiness) | trim | nindent 4 }}
  livenessProbe: {{- include "zoogate.probe" (list . "live" .Values.probes.liveness) | trim | nindent 4 }}
  {{- if include "zoogate.native" . }}
  lifecycle:
    preStop:
      exec:
        command: [/usr/bin/zoogate, drain]
  {{- else if not .Values.drain.zookeeperWaits }}
  lifecycle:
    preStop:
      exec:
        command: [/usr/bin/zoogate, wait-upstream-closed, --upstream, "127.0.0.1:{{ .Values.upstream.port }}", --timeout, {{ .Values.drain.zookeeperSeconds }}s]
  {{- end }}
  resources: {{- include "zoogate.resources" . | nindent 4 }}
  securityContext: {{- toYaml .Values.securityContext | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts: {{- include "zoogate.volumeMounts" . | nindent 4 }}
{{- end }}

{{/* The gate as an init container that stays, or nothing where that is not to be. */}}
{{- define "zoogate.initContainers" -}}
{{- if include "zoogate.native" . }}{{ include "zoogate.container" . }}{{ end }}
{{- end }}

{{/* The gate as an ordinary container, or nothing where it is an init container. */}}
{{- define "zoogate.containers" -}}
{{- if not (include "zoogate.native" .) }}{{ include "zoogate.container" . }}{{ end }}
{{- end }}

{{/*
Resources of the gate. Its memory limit, unless it is given:
- 64 MiB for the program, its trust store, CRLs and what a reload loads beside them;
- 16 KiB for each admitted connection (`limits.connections`, 8000 by default): what an idle session holds at most;
- 6 KiB for each connection that is not admitted yet (`limits.handshakes`, by default twice as many): 4 KiB before its
  ClientHello is complete, and 2 KiB for its socket;
in all rounded up to 16 MiB.
*/}}
{{- define "zoogate.resources" -}}
{{- $limits := default dict .Values.config.limits }}
{{- $connections := int64 (default 8000 $limits.connections) }}
{{- $handshakes := int64 (default (mul 2 $connections) $limits.handshakes) }}
{{- $kib := add (mul 64 1024) (mul 16 $connections) (mul 6 $handshakes) }}
{{- $step := mul 16 1024 }}
{{- $memory := printf "%dMi" (mul 16 (div (add $kib (sub $step 1)) $step)) }}
{{- merge (deepCopy (default dict .Values.resources)) (dict "limits" (dict "memory" $memory)) | toYaml }}
{{- end }}

{{/* The gate, for a chart that knows where it belongs: as "zoogate.initContainers" or "zoogate.containers". */}}
{{- define "zoogate.sidecar" -}}
{{- include "zoogate.container" . }}
{{- end }}

{{/* Seconds from the pod's end until the gate has sent its clients away, at worst. */}}
{{- define "zoogate.drainSeconds" -}}
{{- add .Values.drain.delay .Values.drain.grace 4 }}
{{- end }}

{{- define "zoogate.terminationGracePeriodSeconds" -}}
{{- add (include "zoogate.drainSeconds" .) .Values.drain.zookeeperSeconds }}
{{- end }}

{{/* `lifecycle:` of ZooKeeper's container: it goes on until the gate has sent its clients away. */}}
{{- define "zoogate.zookeeperLifecycle" -}}
preStop:
  {{- if eq .Values.drain.zookeeperWaitsBy "sleep" }}
  sleep:
    seconds: {{ include "zoogate.drainSeconds" . }}
  {{- else }}
  exec:
    command:
      - bash
      - -c
      - until ! (exec 3<>/dev/tcp/{{ include "zoogate.adminInThePod" . }}/{{ .Values.admin.port }}) 2>/dev/null || ((SECONDS >= {{ include "zoogate.drainSeconds" . }})); do sleep 0.2; done
  {{- end }}
{{- end }}

{{/* Annotations of the pod: it is replaced when a change of configuration needs that. */}}
{{- define "zoogate.podAnnotations" -}}
zoogate.io/config: {{ include "zoogate.configChecksum" . }}
{{- if .Values.scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.admin.port | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end }}
