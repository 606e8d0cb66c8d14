{{/* zoo.cfg: clients only from loopback, where the gate is. AdminServer is off, and on loopback where
`ensemble.config` switches it on. The quorum ports are closed by the NetworkPolicy. */}}
{{- define "zoogate.zooCfg" -}}
{{- $lines := dict
  "tickTime" 2000 "initLimit" 10 "syncLimit" 5
  "dataDir" "/data"
  "clientPort" .Values.upstream.port "clientPortAddress" "127.0.0.1"
  "maxClientCnxns" 60
  "quorumListenOnAllIPs" true
  "admin.enableServer" false "admin.serverAddress" "127.0.0.1"
  "4lw.commands.whitelist" "srvr, ruok, isro"
  "autopurge.snapRetainCount" 3 "autopurge.purgeInterval" 24 }}
{{- range $key, $value := mergeOverwrite $lines .Values.ensemble.config }}
{{- /* Helm's numbers are floats, and a million would be 1e+06. */}}
{{ $key }}={{ if kindIs "float64" $value }}{{ toJson $value }}{{ else }}{{ $value }}{{ end }}
{{- end }}
{{- if gt (int .Values.ensemble.replicas) 1 }}
{{- range $index := until (int .Values.ensemble.replicas) }}
server.{{ add1 $index }}={{ include "zoogate.fullname" $ }}-{{ $index }}.{{ include "zoogate.headless" $ }}.{{ include "zoogate.namespace" $ }}.svc.{{ $.Values.clusterDomain }}:2888:3888
{{- end }}
{{- end }}
{{- end }}
