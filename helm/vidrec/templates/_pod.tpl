{{/* What every pod of the chart has: passes the Pod Security standard "restricted". */}}
{{- define "vidrec.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "vidrec.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Spreads the replicas of a component over nodes, as far as there are nodes. */}}
{{- define "vidrec.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "vidrec.selector" . | nindent 8 }}
{{- end -}}

{{/* Environment of the API, the worker and the migrations. */}}
{{- define "vidrec.environment" -}}
- name: VIDREC_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ required "database.existingSecret is empty: name the secret that holds the database's URL" .Values.database.existingSecret }}
      key: {{ .Values.database.key }}
- name: VIDREC_MILVUS_URI
  value: {{ required "milvus.uri is empty: set it to the address of your Milvus, such as http://milvus.milvus:19530" .Values.milvus.uri | quote }}
{{- if .Values.milvus.existingSecret }}
- name: VIDREC_MILVUS_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .Values.milvus.existingSecret }}
      key: {{ .Values.milvus.key }}
{{- end }}
- name: VIDREC_ENCODER_URLS
  value: {{ printf "[\"http://%s:3001\"]" (include "vidrec.name" (dict "root" . "component" "encoder")) | quote }}
- name: VIDREC_DATA_DIR
  value: /data
- name: VIDREC_AUTH
  value: {{ include "vidrec.auth" . | quote }}
{{- with .Values.s3 }}
{{- if .mediaUrl }}
- name: VIDREC_MEDIA_URL
  value: {{ .mediaUrl | quote }}
{{- range $name, $value := dict "ENDPOINT" .endpoint "PUBLIC_ENDPOINT" .publicEndpoint "REGION" .region }}
{{- if $value }}
- name: VIDREC_S3_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
- name: VIDREC_S3_PATH_STYLE
  value: {{ .pathStyle | quote }}
{{- if .existingSecret }}
{{- $secret := .existingSecret }}
{{- range $name, $key := dict "AWS_ACCESS_KEY_ID" .accessKey "AWS_SECRET_ACCESS_KEY" .secretKey }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- if .notificationSecret }}
- name: VIDREC_NOTIFICATION_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .notificationSecret }}
      key: {{ .notificationKey }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
