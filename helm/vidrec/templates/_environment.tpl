{{/* Environment, one helper for each thing that a process talks to: a process gets what it needs and no more. */}}

{{- define "vidrec.env.database" -}}
- name: VIDREC_DATABASE_URL
  valueFrom:
    secretKeyRef: { name: {{ .Values.database.existingSecret }}, key: {{ .Values.database.key }} }
- name: VIDREC_DATA_DIR
  value: /data
- name: VIDREC_LOG_FORMAT
  value: {{ .Values.logFormat }}
{{- end -}}

{{- define "vidrec.env.milvus" -}}
{{- with .Values.milvus -}}
- name: VIDREC_MILVUS_URI
  value: {{ .uri | quote }}
{{- if .database }}
- name: VIDREC_MILVUS_DATABASE
  value: {{ .database | quote }}
{{- end }}
{{- if and .existingSecret .userKey }}
- name: VIDREC_MILVUS_USER
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret }}, key: {{ .userKey }} }
- name: VIDREC_MILVUS_PASSWORD
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret }}, key: {{ .passwordKey }} }
{{- else if .existingSecret }}
- name: VIDREC_MILVUS_TOKEN
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret }}, key: {{ .tokenKey }} }
{{- end }}
{{- if .certificateSecret }}
- name: VIDREC_MILVUS_CERTIFICATE
  value: /etc/vidrec/milvus/{{ .certificateKey }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "vidrec.env.encoders" -}}
- name: VIDREC_ENCODER_URLS
  value: {{ printf "[\"http://%s:3001\"]" (include "vidrec.name" (dict "root" . "component" "encoder")) | quote }}
{{- end -}}

{{- define "vidrec.env.store" -}}
{{- with .Values.s3 -}}
- name: VIDREC_MEDIA_URL
  value: {{ .mediaUrl | quote }}
- name: VIDREC_BUCKETS
  value: {{ .buckets | toJson | quote }}
- name: VIDREC_S3_PATH_STYLE
  value: {{ .pathStyle | quote }}
{{- range $name, $value := dict "ENDPOINT" .endpoint "PUBLIC_ENDPOINT" .publicEndpoint "REGION" .region }}
{{- if $value }}
- name: VIDREC_S3_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if .existingSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret }}, key: {{ .accessKey }} }
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret }}, key: {{ .secretKey }} }
{{- end }}
{{- end }}
{{- end -}}

{{/* What only those have who answer clients. */}}
{{- define "vidrec.env.clients" -}}
- name: VIDREC_AUTH
  value: {{ include "vidrec.auth" . | quote }}
{{- if eq (include "vidrec.auth" .) "off" }}
- name: VIDREC_ALLOW_OPEN
  value: "true"
{{- end }}
- name: VIDREC_SECRET
  valueFrom:
    secretKeyRef: { name: {{ .Values.signing.existingSecret }}, key: {{ .Values.signing.key }} }
{{- with include "vidrec.publicUrl" . }}
- name: VIDREC_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.s3 }}
{{- if .notificationSecret }}
- name: VIDREC_NOTIFICATION_TOKEN
  valueFrom:
    secretKeyRef: { name: {{ .notificationSecret }}, key: {{ .notificationKey }} }
{{- end }}
{{- end }}
{{- end -}}

{{- define "vidrec.env.settings" -}}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
