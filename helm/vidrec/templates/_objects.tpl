{{/* Objects that several components have. */}}

{{- define "vidrec.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
{{ include "vidrec.metadata" . }}
automountServiceAccountToken: false
{{- end -}}

{{/* Any number of pods can be drained, `maxUnavailable` at a time; pods that are not ready do not stand in the way. */}}
{{- define "vidrec.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
{{ include "vidrec.metadata" . }}
spec:
  maxUnavailable: {{ .maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "vidrec.selector" . | nindent 6 }}
{{- end -}}

{{/* By CPU, and by requests a second where `requestsPerSecond` says so. */}}
{{- define "vidrec.autoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
{{ include "vidrec.metadata" . }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "vidrec.name" . }}
  {{- with .values.autoscaling }}
  minReplicas: {{ int .minReplicas }}
  maxReplicas: {{ int .maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: { type: Utilization, averageUtilization: {{ int .cpuPercent }} }
    {{- with get . "requestsPerSecond" }}
    - type: Pods
      pods:
        metric: { name: vidrec_http_requests_per_second }
        target: { type: AverageValue, averageValue: {{ . | quote }} }
    {{- end }}
  {{- end }}
  behavior:
    scaleDown:
      # Load that comes in waves does not make pods come and go with it.
      stabilizationWindowSeconds: 300
{{- end -}}

{{/* How many jobs are due or running: what is running holds its worker. */}}
{{- define "vidrec.jobsTrigger" -}}
- type: postgresql
  metadata:
    query: >-
      SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'
      OR (status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()))
    targetQueryValue: {{ .jobsPerReplica | quote }}
    activationTargetQueryValue: "0"
  authenticationRef:
    name: {{ include "vidrec.name" (dict "root" .root "component" "jobs") }}
{{- end -}}
