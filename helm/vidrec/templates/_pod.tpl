{{/* What every pod of the chart has besides containers and volumes: passes the Pod Security standard "restricted", spreads
     over zones and nodes as far as there are some, and has no token of the API server. `values` are the component's. */}}
{{- define "vidrec.pod" -}}
serviceAccountName: {{ include "vidrec.name" (omit . "track") }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.runAsUser }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  fsGroup: {{ int . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with get .values "priorityClassName" }}
priorityClassName: {{ . }}
{{- end }}
{{- with get .values "runtimeClassName" }}
runtimeClassName: {{ . }}
{{- end }}
{{- with get .values "nodeSelector" }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with get .values "tolerations" }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with get .values "terminationGracePeriodSeconds" }}
terminationGracePeriodSeconds: {{ int . }}
{{- end }}
{{- end -}}

{{/* For components of several pods: over zones, over nodes, and not two on one node where it can be helped. */}}
{{- define "vidrec.spread" -}}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "vidrec.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "vidrec.selector" . | nindent 14 }}
{{- end -}}

{{/* Labels and annotations of a pod. */}}
{{- define "vidrec.podMetadata" -}}
metadata:
  labels:
    {{- include "vidrec.labels" . | nindent 4 }}
  {{- with get .values "podAnnotations" }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Image and confinement of a container. */}}
{{- define "vidrec.container" -}}
image: {{ include "vidrec.image" (dict "root" .root "repository" .root.Values.image.repository "tag" (get . "tag")) }}
{{ include "vidrec.confined" . }}
{{- end -}}

{{- define "vidrec.confined" -}}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Pods of plain manifests, and those of a schema that somebody else brings up to date, wait for it here. Helm's hook is
     done before there are pods. */}}
{{- define "vidrec.waitForSchema" -}}
{{- if ne .root.Values.migrations.mode "hook" }}
initContainers:
  - name: wait-for-schema
    {{- include "vidrec.container" . | nindent 4 }}
    command: [sh, -c, "until vidrec migrate --check; do sleep 2; done"]
    env:
      {{- include "vidrec.env.database" .root | nindent 6 }}
    resources:
      requests: { cpu: 50m, memory: 128Mi }
      limits: { memory: 256Mi }
    volumeMounts:
      {{- include "vidrec.mounts" .root | nindent 6 }}
{{- end }}
{{- end -}}

{{/* Writable folders, and certificates where some are named: of every process but the encoder. */}}
{{- define "vidrec.mounts" -}}
- { name: tmp, mountPath: /tmp }
- { name: data, mountPath: /data }
{{- if .Values.database.certificateSecret }}
- { name: database-certificates, mountPath: /etc/vidrec/database, readOnly: true }
{{- end }}
{{- if .Values.milvus.certificateSecret }}
- { name: milvus-certificate, mountPath: /etc/vidrec/milvus, readOnly: true }
{{- end }}
{{- end -}}

{{- define "vidrec.volumes" -}}
- name: tmp
  emptyDir: {}
- name: data
  emptyDir: {{ with get .values "scratchSize" }}{ sizeLimit: {{ . }} }{{ else }}{}{{ end }}
{{- with .root.Values.database.certificateSecret }}
- name: database-certificates
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- with .root.Values.milvus.certificateSecret }}
- name: milvus-certificate
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- end -}}
