{{- define "tarantkv.name" -}}
{{- if contains "tarant-kv" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-tarant-kv" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tarantkv.selector" -}}
app.kubernetes.io/name: tarant-kv
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tarantkv.labels" -}}
{{ include "tarantkv.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "tarantkv.secret" -}}
{{- .Values.existingSecret | default (include "tarantkv.name" .) -}}
{{- end -}}

{{- define "tarantkv.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}

{{- define "tarantkv.shardImage" -}}
{{ printf "%s:%s" .Values.shardImage.repository (.Values.shardImage.tag | default .Chart.AppVersion) }}
{{- end -}}

{{/* One environment variable from the secret: (list $ "TARANTKV_JWT_SECRET" "jwt-secret") */}}
{{- define "tarantkv.fromSecret" -}}
- name: {{ index . 1 }}
  valueFrom: {secretKeyRef: {name: {{ include "tarantkv.secret" (index . 0) }}, key: {{ index . 2 }}}}
{{- end -}}

{{- define "tarantkv.redisUrls" -}}
{{- if .Values.redis.urls -}}
{{- join "," .Values.redis.urls -}}
{{- else -}}
{{- $urls := list -}}
{{- range $lane := until (int .Values.redis.lanes) -}}
{{- $urls = append $urls (printf "redis://%s-redis-%d.%s-redis.%s.svc:6379/0" (include "tarantkv.name" $) $lane (include "tarantkv.name" $) $.Release.Namespace) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}
{{- end -}}

{{/* The instances of every shard, in the format of TARANTKV_SHARDS. */}}
{{- define "tarantkv.shards" -}}
{{- $shards := list -}}
{{- range $number := .Values.shards.numbers -}}
{{- $addresses := list -}}
{{- range $ordinal := until (int $.Values.shards.replicas) -}}
{{- $addresses = append $addresses (include "tarantkv.address" (list $ $number $ordinal)) -}}
{{- end -}}
{{- $shards = append $shards (printf "s%d=%s" (int $number) (join "," $addresses)) -}}
{{- end -}}
{{- join ";" $shards -}}
{{- end -}}

{{/* host:port of one instance: (list $ number ordinal) */}}
{{- define "tarantkv.address" -}}
{{- $set := printf "%s-s%d" (include "tarantkv.name" (index . 0)) (int (index . 1)) -}}
{{ printf "%s-%d.%s.%s.svc:3301" $set (int (index . 2)) $set (index . 0).Release.Namespace }}
{{- end -}}

{{- define "tarantkv.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "tarantkv.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "tarantkv.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "tarantkv.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "tarantkv.settings" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end -}}

{{/* A setting in whole seconds, rounded up: (list settings name default) */}}
{{- define "tarantkv.seconds" -}}
{{ index (index . 0) (index . 1) | default (index . 2) | float64 | ceil | int }}
{{- end -}}

{{/* Checks that the store user can log in and that the stored procedures answer. With the image's TT_* variables, the
     program would start an instance instead. */}}
{{- define "tarantkv.shardProbe" }}
exec:
  command: [env, -u, TT_APP_NAME, -u, TT_INSTANCE_NAME, -u, TT_CONFIG, tarantool, /opt/docker/shard_health.lua]
timeoutSeconds: 5
{{- end -}}

{{/* The shards' numbers, each between commas: ",1,2,". */}}
{{- define "tarantkv.numbers" -}}
,{{ range .Values.shards.numbers }}{{ int . }},{{ end }}
{{- end -}}

{{/* The UUID of an instance or a shard, as fixed_uuid of clusterctl/plan.py makes it: (list $ "s1-0") */}}
{{- define "tarantkv.uuid" -}}
{{- $release := (index . 0).Release -}}
{{- $digest := sha256sum (printf "%s/%s/%s" $release.Namespace $release.Name (index . 1)) -}}
{{- $variant := index (list "8" "9" "a" "b" "8" "9" "a" "b" "8" "9" "a" "b" "8" "9" "a" "b") (int (get (dict "0" 0 "1" 1 "2" 2 "3" 3 "4" 4 "5" 5 "6" 6 "7" 7 "8" 8 "9" 9 "a" 10 "b" 11 "c" 12 "d" 13 "e" 14 "f" 15) (substr 16 17 $digest))) -}}
{{ printf "%s-%s-5%s-%s%s-%s" (substr 0 8 $digest) (substr 8 12 $digest) (substr 13 16 $digest) $variant (substr 17 20 $digest) (substr 20 32 $digest) }}
{{- end -}}
