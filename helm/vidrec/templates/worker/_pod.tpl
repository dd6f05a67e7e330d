{{/* The pod of a worker, in its Deployment or ScaledJob; `args` is the command. */}}
{{- define "vidrec.workerPod" -}}
{{- $root := .root -}}
{{ include "vidrec.pod" . }}
{{- include "vidrec.spread" . | nindent 0 }}
{{- include "vidrec.waitForSchema" . }}
containers:
  - name: worker
    {{- include "vidrec.container" . | nindent 4 }}
    args: {{ .args | toJson }}
    env:
      {{- include "vidrec.env.database" $root | nindent 6 }}
      {{- include "vidrec.env.milvus" $root | nindent 6 }}
      {{- include "vidrec.env.encoders" $root | nindent 6 }}
      {{- include "vidrec.env.store" $root | nindent 6 }}
      - name: VIDREC_DRAIN_S
        value: {{ .values.drainSeconds | quote }}
      - name: VIDREC_WORKER_METRICS_PORT
        value: {{ .values.metricsPort | quote }}
      - name: VIDREC_WORKER_METRICS_HOST
        value: "0.0.0.0"
      {{- with include "vidrec.env.settings" $root | trim }}{{ . | nindent 6 }}{{ end }}
    ports:
      - { name: metrics, containerPort: {{ int .values.metricsPort }} }
    startupProbe:
      httpGet: { path: /metrics, port: metrics }
      periodSeconds: 2
      failureThreshold: 60
    readinessProbe:
      httpGet: { path: /metrics, port: metrics }
      periodSeconds: 10
      timeoutSeconds: 5
    livenessProbe:
      httpGet: { path: /metrics, port: metrics }
      periodSeconds: 20
      timeoutSeconds: 10
      failureThreshold: 6
    resources:
      {{- toYaml .values.resources | nindent 6 }}
    volumeMounts:
      {{- include "vidrec.mounts" $root | nindent 6 }}
volumes:
  {{- include "vidrec.volumes" . | nindent 2 }}
{{- end -}}
