{{/* Refuses values that contradict each other, each with what to do. What one value may be is in values.schema.json. */}}
{{- define "zoogate.validate" -}}
{{- $v := .Values }}
{{- if and $v.ensemble.enabled $v.inject.enabled }}
{{- fail "ensemble.enabled and inject.enabled: one release does one of them" }}
{{- end }}
{{- $sources := 0 }}
{{- if $v.tls.csi.enabled }}{{ $sources = add1 $sources }}{{ end }}
{{- if or $v.tls.certManager.enabled $v.tls.secret.name }}{{ $sources = add1 $sources }}{{ end }}
{{- if ne (int $sources) 1 }}
{{- fail "tls: the gate's certificate comes from one of tls.secret.name, tls.certManager.enabled and tls.csi.enabled" }}
{{- end }}
{{- if and $v.tls.certManager.enabled (not $v.tls.certManager.issuerRef.name) }}
{{- fail "tls.certManager.issuerRef.name: name the issuer of the certificate" }}
{{- end }}
{{- if and $v.tls.csi.enabled (or $v.tls.secret.keyStore $v.tls.secret.password) }}
{{- fail "tls.secret.keyStore: the CSI driver gives PEM files" }}
{{- end }}
{{- if and $v.tls.certManager.enabled (not $v.ensemble.enabled) (not $v.tls.certManager.dnsNames) }}
{{- fail "tls.certManager.dnsNames: name what clients dial" }}
{{- end }}
{{- $trust := 0 }}
{{- if $v.trust.configMap.name }}{{ $trust = add1 $trust }}{{ end }}
{{- if $v.trust.secret.name }}{{ $trust = add1 $trust }}{{ end }}
{{- if $v.trust.fromTls }}{{ $trust = add1 $trust }}{{ end }}
{{- if ne (int $trust) 1 }}
{{- fail "trust: the CAs of clients come from one of trust.configMap.name, trust.secret.name and trust.fromTls" }}
{{- end }}
{{- if and $v.crls.configMap.name (not $v.crls.configMap.keys) }}
{{- fail "crls.configMap.keys: name the keys of the ConfigMap that are CRLs" }}
{{- end }}
{{- range $v.extraVolumeMounts }}
{{- if or .subPath .subPathExpr }}
{{- fail (printf "extraVolumeMounts: %s is a subPath mount, which Kubernetes never updates; mount the directory" .mountPath) }}
{{- end }}
{{- end }}
{{- if and (include "zoogate.adminOnLoopback" .) (or $v.podMonitor.enabled $v.serviceMonitor.enabled $v.scrapeAnnotations) }}
{{- fail "admin.host: on loopback nobody can scrape it; leave it at 0.0.0.0, or turn monitoring off" }}
{{- end }}
{{- if and (eq $v.drain.zookeeperWaitsBy "sleep") (semverCompare "<1.30-0" (include "zoogate.kubeVersion" .)) }}
{{- fail "drain.zookeeperWaitsBy: sleep needs Kubernetes 1.30" }}
{{- end }}
{{- if and (eq (toString $v.nativeSidecar) "true") (semverCompare "<1.29-0" (include "zoogate.kubeVersion" .)) }}
{{- fail "nativeSidecar: needs Kubernetes 1.29; take auto" }}
{{- end }}
{{- if and $v.inject.enabled (not (include "zoogate.native" .)) }}
{{- fail "inject: adds the gate as a native sidecar; nativeSidecar: false does not go with it" }}
{{- end }}
{{- $ports := list (int $v.listen.port) (int $v.admin.port) (int $v.upstream.port) }}
{{- if $v.ensemble.enabled }}{{ $ports = concat $ports (list 2888 3888) }}{{ end }}
{{- if ne (len $ports) (len (uniq $ports)) }}
{{- fail "listen.port, admin.port and upstream.port: each needs its own, and the servers' own are 2888 and 3888" }}
{{- end }}
{{- range $key, $value := $v.ensemble.config }}
{{- if or (has $key (list "clientPort" "clientPortAddress" "secureClientPort" "secureClientPortAddress" "dataDir")) (hasPrefix "server." $key) }}
{{- fail (printf "ensemble.config.%s: the chart writes it, so that the gate is the only way to the server; the port is upstream.port" $key) }}
{{- end }}
{{- if contains "\n" (toString $value) }}
{{- fail (printf "ensemble.config.%s: it is one line" $key) }}
{{- end }}
{{- end }}
{{- if hasKey $v.config "shutdown" }}
{{- fail "config.shutdown: set drain.delay and drain.grace, by which the pod's grace period is reckoned" }}
{{- end }}
{{- range list "listen" "admin" "upstream" }}
{{- if hasKey (default dict (index $v.config .)) "address" }}
{{- fail (printf "config.%s.address: set the value %s, by which ports and probes are made" . .) }}
{{- end }}
{{- end }}
{{- end }}
