{{/* The gate's configuration and the files that it names. */}}

{{/* "true" where only the pod itself can reach the admin address. */}}
{{- define "zoogate.adminOnLoopback" -}}
{{- if or (hasPrefix "127." .Values.admin.host) (has .Values.admin.host (list "[::1]" "::1")) }}true{{ end }}
{{- end }}

{{/* Where the pod's other containers reach the admin address. `[::]` is IPv6 alone. */}}
{{- define "zoogate.adminInThePod" -}}
{{- if eq .Values.admin.host "0.0.0.0" }}127.0.0.1
{{- else if eq .Values.admin.host "[::]" }}::1
{{- else }}{{ trimAll "[]" .Values.admin.host }}
{{- end }}
{{- end }}

{{- define "zoogate.tlsDirectory" -}}
{{ ternary "/etc/zoogate-tls" "/etc/zoogate/tls" .Values.tls.csi.enabled }}
{{- end }}

{{/* What the chart writes, with `config` over it: YAML. */}}
{{- define "zoogate.config" -}}
{{- include "zoogate.validate" . }}
{{- $tls := include "zoogate.tlsDirectory" . }}
{{- $own := dict "path" (printf "%s/tls.crt" $tls) "key_path" (printf "%s/tls.key" $tls) }}
{{- if .Values.tls.secret.keyStore }}
{{- $own = dict "path" (printf "%s/keystore" $tls) }}
{{- end }}
{{- if .Values.tls.secret.password }}
{{- $_ := set $own "password_file" (printf "%s/password" $tls) }}
{{- end }}
{{- $trust := dict "path" (ternary (printf "%s/ca.crt" $tls) "/etc/zoogate/trust/ca" .Values.trust.fromTls) }}
{{- if .Values.trust.secret.password }}
{{- $_ := set $trust "password_file" "/etc/zoogate/trust/password" }}
{{- end }}
{{- $material := dict "key_store" $own "trust_store" $trust }}
{{- if .Values.crls.configMap.name }}
{{- $files := list }}
{{- range .Values.crls.configMap.keys }}
{{- $files = append $files (printf "/etc/zoogate/crls/%s" .) }}
{{- end }}
{{- $_ := set $material "crls" $files }}
{{- end }}
{{- $config := dict
  "listen" (dict "address" (printf "%s:%d" .Values.listen.host (int .Values.listen.port)))
  "upstream" (dict "address" (printf "127.0.0.1:%d" (int .Values.upstream.port)))
  "tls" $material
  "admin" (dict "address" (printf "%s:%d" .Values.admin.host (int .Values.admin.port)))
  "shutdown" (dict "delay" (printf "%ds" (int .Values.drain.delay)) "grace" (printf "%ds" (int .Values.drain.grace)))
  "log" (dict "format" "json") }}
{{- if ne (dig "identity" "inject" "digest" .Values.config) "none" }}
{{- $_ := set $config "identity" (dict "secret_file" "/etc/zoogate/secret/secret") }}
{{- end }}
{{- mergeOverwrite $config (deepCopy .Values.config) | toYaml }}
{{- end }}

{{/* Checksum of what a running gate does not take: a change of it needs new pods. */}}
{{- define "zoogate.configChecksum" -}}
{{- $config := include "zoogate.config" . | fromYaml }}
{{- $identity := omit (default dict $config.identity) "from" "mapping" "mapping_shadow" "also_inject" "allow" "deny" "super" "digest_algorithm" }}
{{- $_ := set $config "identity" $identity }}
{{- omit $config "acl" "session" | toYaml | sha256sum | trunc 16 }}
{{- end }}

{{/* Volumes of the gate: a list to be put under `volumes:`. One of them has all of its files, renewed together. */}}
{{- define "zoogate.volumes" -}}
{{- include "zoogate.validate" . -}}
- name: zoogate
  projected:
    defaultMode: {{ .Values.filesMode }}
    sources:
      - configMap:
          name: {{ include "zoogate.fullname" . | toYaml }}
          items:
            - {key: zoogate.yaml, path: zoogate.yaml}
      {{- if not .Values.tls.csi.enabled }}
      - secret:
          name: {{ include "zoogate.certificateName" . | toYaml }}
          items:
            {{- if .Values.tls.secret.keyStore }}
            - {key: {{ toYaml .Values.tls.secret.keyStore }}, path: tls/keystore}
            {{- else }}
            - {key: {{ toYaml .Values.tls.secret.cert }}, path: tls/tls.crt}
            - {key: {{ toYaml .Values.tls.secret.key }}, path: tls/tls.key}
            {{- end }}
            {{- with .Values.tls.secret.password }}
            - {key: {{ toYaml . }}, path: tls/password}
            {{- end }}
            {{- if .Values.trust.fromTls }}
            - {key: ca.crt, path: tls/ca.crt}
            {{- end }}
      {{- end }}
      {{- with .Values.trust.configMap }}
      {{- if .name }}
      - configMap:
          name: {{ toYaml .name }}
          items:
            - {key: {{ toYaml .key }}, path: trust/ca}
      {{- end }}
      {{- end }}
      {{- with .Values.trust.secret }}
      {{- if .name }}
      - secret:
          name: {{ toYaml .name }}
          items:
            - {key: {{ toYaml .key }}, path: trust/ca}
            {{- with .password }}
            - {key: {{ toYaml . }}, path: trust/password}
            {{- end }}
      {{- end }}
      {{- end }}
      {{- with .Values.crls.configMap }}
      {{- if .name }}
      - configMap:
          name: {{ toYaml .name }}
          items:
            {{- range .keys }}
            - {key: {{ toYaml . }}, path: crls/{{ . }}}
            {{- end }}
      {{- end }}
      {{- end }}
      {{- if ne (dig "identity" "inject" "digest" .Values.config) "none" }}
      - secret:
          name: {{ include "zoogate.secretName" . | toYaml }}
          items:
            - {key: {{ toYaml .Values.secret.key }}, path: secret/secret}
      {{- end }}
{{- if .Values.tls.csi.enabled }}
- name: zoogate-tls
  csi:
    driver: {{ .Values.tls.csi.driver }}
    readOnly: true
    volumeAttributes: {{- toYaml .Values.tls.csi.attributes | nindent 6 }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
