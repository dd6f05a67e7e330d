{{/* Name of one component's objects: release first, so that two releases never collide. */}}
{{- define "vidrec.name" -}}
{{- printf "%s-%s" (.root.Release.Name | trunc 40 | trimSuffix "-") .component -}}
{{- end -}}

{{- define "vidrec.selector" -}}
app.kubernetes.io/name: vidrec
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "vidrec.labels" -}}
{{ include "vidrec.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: vidrec
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* `off` without quotes is false in YAML. */}}
{{- define "vidrec.auth" -}}
{{- ternary "keys" "off" (eq (toString .Values.auth) "keys") -}}
{{- end -}}

{{- define "vidrec.image" -}}
{{- $image := .root.Values.image -}}
{{- $registry := required "image.registry is empty: set it to the registry that holds your vidrec images, such as --set image.registry=registry.example.com/team" $image.registry -}}
{{- printf "%s/%s:%s" $registry .repository ($image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
