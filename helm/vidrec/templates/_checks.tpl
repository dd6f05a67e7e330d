{{/* What cannot work, a line each, with what to write instead. Types, names and choices are the schema's. */}}
{{- define "vidrec.wrong" -}}
{{- include "vidrec.wrong.image" . }}
{{- include "vidrec.wrong.stores" . }}
{{- include "vidrec.wrong.entry" . }}
{{- include "vidrec.wrong.scaling" . }}
{{- include "vidrec.wrong.time" . }}
{{- include "vidrec.wrong.settings" . }}
{{- end -}}

{{- define "vidrec.wrong.image" -}}
{{- with .Values.image }}
{{- if not .registry }}
- image.registry is empty: set it to the registry that holds your vidrec images, such as registry.example.com/team
{{- else if contains "://" .registry }}
- image.registry is {{ .registry }}: write it without http:// or https://, such as registry.example.com/team
{{- end }}
{{- range $name, $value := pick . "tag" "encoderTag" }}
{{- if contains ":" (trimPrefix "sha256:" $value) }}
- image.{{ $name }} is {{ $value }}: write the tag alone, such as 0.1.0, or a digest, such as sha256:2f5c...
{{- end }}
{{- end }}
{{- range $name, $value := pick . "repository" "encoderRepository" }}
{{- if or (not $value) (contains ":" $value) }}
- image.{{ $name }} is {{ $value | quote }}: write the image's name alone, such as vidrec; its tag is image.tag
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "vidrec.wrong.stores" -}}
{{- if not .Values.database.existingSecret }}
- database.existingSecret is empty: name the secret that holds the URL of PostgreSQL under the key {{ .Values.database.key }}
{{- end }}
{{- if not .Values.signing.existingSecret }}
- signing.existingSecret is empty: name the secret that holds at least 32 random characters under the key {{ .Values.signing.key }}
{{- end }}
{{- with .Values.milvus }}
{{- if not .uri }}
- milvus.uri is empty: set it to the address of your Milvus, such as http://milvus.milvus:19530
{{- else if not (regexMatch "^https?://[^/]+$" .uri) }}
- milvus.uri is {{ .uri }}: write it as http://host:19530 or https://host:19530
{{- end }}
{{- if ne (empty .userKey) (empty .passwordKey) }}
- milvus.userKey and milvus.passwordKey go together: set both, or neither and tokenKey
{{- end }}
{{- if and (or .userKey .passwordKey) (not .existingSecret) }}
- milvus.existingSecret is empty: name the secret that holds milvus.userKey and milvus.passwordKey
{{- else if and .existingSecret (not .userKey) (not .tokenKey) }}
- milvus.tokenKey is empty: name the key of {{ .existingSecret }} that holds user:password, or set userKey and passwordKey
{{- end }}
{{- if and .certificateSecret (hasPrefix "http://" .uri) }}
- milvus.certificateSecret is for TLS: write milvus.uri with https://, or leave certificateSecret empty
{{- end }}
{{- end }}
{{- with .Values.s3 }}
{{- if not .mediaUrl }}
- s3.mediaUrl is empty: set it to s3://bucket or s3://bucket/prefix; pods share no folder
{{- else if not (regexMatch "^s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/.*)?$" .mediaUrl) }}
- s3.mediaUrl is {{ .mediaUrl }}: write it as s3://bucket or s3://bucket/prefix
{{- end }}
{{- range $name, $value := pick . "endpoint" "publicEndpoint" }}
{{- if and $value (not (regexMatch "^https?://[^/]+$" $value)) }}
- s3.{{ $name }} is {{ $value }}: write it as http://host:9000 or https://host
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.tracing.endpoint (not (regexMatch "^https?://[^/]+" .Values.tracing.endpoint)) }}
- tracing.endpoint is {{ .Values.tracing.endpoint }}: write it as http://host:4318
{{- end }}
{{- if .Values.ingest.enabled }}
{{- if not (regexMatch "^s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/.*)?$" .Values.ingest.source) }}
- ingest.source is {{ .Values.ingest.source | quote }}: write what to take in as s3://bucket/prefix
{{- end }}
{{- if gt (int .Values.ingest.parallelism) (int .Values.ingest.completions) }}
- ingest.parallelism is {{ int .Values.ingest.parallelism }}: there are only {{ int .Values.ingest.completions }} parts (ingest.completions)
{{- end }}
{{- end }}
{{- end -}}

{{- define "vidrec.wrong.entry" -}}
{{- if and .Values.publicUrl (not (regexMatch "^https?://[^/]+[^/]$" .Values.publicUrl)) }}
- publicUrl is {{ .Values.publicUrl }}: write it as https://videos.example.com, without a path
{{- end }}
{{- with .Values.ingress }}
{{- if and .enabled (not .host) }}
- ingress.host is empty: set it to the name under which viewers reach vidrec, such as videos.example.com
{{- else if regexMatch "[/: ]" .host }}
- ingress.host is {{ .host }}: write the name alone, such as videos.example.com
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled .Values.gateway.enabled }}
- ingress.enabled and gateway.enabled are both true: choose one way in
{{- end }}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) }}
- gateway.parentRefs is empty: name the Gateway that takes the route, such as [{name: public, namespace: gateways}]
{{- end }}
{{- with .Values.api.canary }}
{{- if and .enabled (not $.Values.gateway.enabled) }}
- api.canary.enabled needs gateway.enabled: an HTTPRoute shares the requests out by weight, an Ingress does not
{{- end }}
{{- if and .enabled (not .tag) }}
- api.canary.tag is empty: set it to the tag of the release to try
{{- end }}
{{- end }}
{{- end -}}

{{- define "vidrec.wrong.scaling" -}}
{{- range $name := list "api" "encoder" "worker" }}
{{- $scaling := (index $.Values $name).autoscaling }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
- {{ $name }}.autoscaling.minReplicas is {{ int $scaling.minReplicas }}: it must not be above maxReplicas ({{ int $scaling.maxReplicas }})
{{- end }}
{{- if and (eq $scaling.scaler "hpa") (eq (int $scaling.minReplicas) 0) }}
- {{ $name }}.autoscaling.minReplicas is 0: an HPA cannot wake what has no pods; write 1, or scaler: keda
{{- end }}
{{- if and (eq $scaling.scaler "hpa") (not (dig "requests" "cpu" "" (index $.Values $name).resources)) }}
- {{ $name }}.resources.requests.cpu is missing: an HPA scales by the share of it that is used
{{- end }}
{{- end }}
{{- with .Values.worker }}
{{- if and (eq .kind "scaledjob") (ne .autoscaling.scaler "none") }}
- worker.autoscaling.scaler is {{ .autoscaling.scaler }} and worker.kind is scaledjob, which KEDA scales by itself: two would scale one thing; write scaler: none, or kind: deployment
{{- end }}
{{- end }}
{{- with .Values.encoder }}
{{- if and (eq .autoscaling.scaler "hpa") .autoscaling.prometheusAddress }}
- encoder.autoscaling.prometheusAddress is for scaler: keda, and scaler is hpa: two would scale one thing; choose one
{{- end }}
{{- if and (eq (toString .maxSurge) "0") (eq (toString .maxUnavailable) "0") }}
- encoder.maxSurge and encoder.maxUnavailable are both 0: no rollout could begin; write 1 for one of them
{{- end }}
{{- if and .modelsPath (not (hasPrefix "/" .modelsPath)) }}
- encoder.modelsPath is {{ .modelsPath }}: write a path that begins with /
{{- end }}
{{- if and (hasPrefix "/models" .modelPath) (not .modelVolume) }}
- encoder.modelPath is {{ .modelPath }} and encoder.modelVolume is empty: name the volume that is mounted at /models
{{- end }}
{{- if and .next.enabled (not .next.tag) (not .next.modelPath) }}
- encoder.next is the same as the encoder: set encoder.next.tag or encoder.next.modelPath to the version that comes next
{{- end }}
{{- if hasKey (.resources.limits | default dict) .gpuResource }}
- encoder.resources.limits names {{ .gpuResource }}: write the number of GPUs as encoder.gpus
{{- end }}
{{- end }}
{{- end -}}

{{- define "vidrec.wrong.time" -}}
{{- range $name := list "api" "encoder" "worker" }}
{{- $values := index $.Values $name }}
{{- $takes := add (int (get $values "preStopSeconds")) (int $values.drainSeconds) }}
{{- if le (int $values.terminationGracePeriodSeconds) $takes }}
- {{ $name }}.terminationGracePeriodSeconds is {{ int $values.terminationGracePeriodSeconds }}: write more than {{ $takes }}, the seconds that the pod needs to end ({{ $name }}.drainSeconds and preStopSeconds)
{{- end }}
{{- end }}
{{- end -}}

{{- define "vidrec.wrong.settings" -}}
{{- $own := dict
  "VIDREC_DATABASE_URL" "database.existingSecret" "VIDREC_DATA_DIR" "nothing: the folder is the chart's" "VIDREC_LOG_FORMAT" "logFormat"
  "VIDREC_MILVUS_URI" "milvus.uri" "VIDREC_MILVUS_DATABASE" "milvus.database" "VIDREC_MILVUS_USER" "milvus.userKey"
  "VIDREC_MILVUS_PASSWORD" "milvus.passwordKey" "VIDREC_MILVUS_TOKEN" "milvus.existingSecret" "VIDREC_MILVUS_CERTIFICATE" "milvus.certificateSecret"
  "VIDREC_ENCODER_URLS" "nothing: callers find the encoders by their Service" "VIDREC_MEDIA_URL" "s3.mediaUrl" "VIDREC_BUCKETS" "s3.buckets"
  "VIDREC_S3_ENDPOINT" "s3.endpoint" "VIDREC_S3_PUBLIC_ENDPOINT" "s3.publicEndpoint" "VIDREC_S3_REGION" "s3.region" "VIDREC_S3_PATH_STYLE" "s3.pathStyle"
  "VIDREC_AUTH" "auth" "VIDREC_ALLOW_OPEN" "auth" "VIDREC_SECRET" "signing.existingSecret" "VIDREC_PUBLIC_URL" "publicUrl"
  "VIDREC_NOTIFICATION_TOKEN" "s3.notificationSecret" "VIDREC_WORKER_METRICS_PORT" "worker.metricsPort" "VIDREC_WORKER_METRICS_HOST" "worker.metricsPort"
  "VIDREC_DRAIN_S" "drainSeconds of api, encoder and worker"
  "VIDREC_HOST" "nothing: the API's address is the chart's" "VIDREC_PORT" "nothing: the API's port is the chart's"
  "VIDREC_ENCODER_MODEL" "encoder.modelPath" "VIDREC_ENCODER_MODELS" "encoder.modelsPath" "VIDREC_ENCODER_PROVIDER" "encoder.gpus"
  "VIDREC_ENCODER_GPU_MEM_LIMIT_MB" "encoder.gpuMemoryLimitMb" "VIDREC_ENCODER_HOST" "nothing: the address is the chart's"
  "VIDREC_ENCODER_PORT" "nothing: the port is the chart's" }}
{{- range $where, $given := dict "settings" .Values.settings "encoder.settings" .Values.encoder.settings }}
{{- range $name, $value := $given }}
{{- with get $own $name }}
- {{ $where }}.{{ $name }} is set by the chart itself: use {{ . }}
{{- end }}
{{- if and (eq $where "settings") (hasPrefix "VIDREC_ENCODER_" $name) (not (get $own $name)) (ne $name "VIDREC_ENCODER_TIMEOUT_S") }}
- settings.{{ $name }} is a setting of the encoder: write it under encoder.settings
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
