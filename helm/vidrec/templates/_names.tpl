{{/* Most helpers take a dict: `root` (the chart's context), `component`, and where two run beside each other `track`. */}}

{{/* Name of one component's objects: release first, so that two releases never collide. */}}
{{- define "vidrec.name" -}}
{{- $track := get . "track" | default "stable" -}}
{{- $release := include "vidrec.short" (dict "name" .root.Release.Name "most" 40) -}}
{{- printf "%s-%s%s" $release .component (ternary "" (printf "-%s" $track) (eq $track "stable")) -}}
{{- end -}}

{{/* A name of `most` characters at most: where it is cut, it ends with a digest of the whole. */}}
{{- define "vidrec.short" -}}
{{- if gt (len .name) (int .most) -}}
{{- printf "%s-%s" (.name | trunc (int (sub .most 9)) | trimSuffix "-") (.name | sha256sum | trunc 8) -}}
{{- else -}}
{{- .name -}}
{{- end -}}
{{- end -}}

{{- define "vidrec.selector" -}}
app.kubernetes.io/name: vidrec
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with get . "track" }}
track: {{ . }}
{{- end }}
{{- end -}}

{{- define "vidrec.labels" -}}
{{ include "vidrec.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: vidrec
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* Metadata of an object of a component; `annotations` may be given. */}}
{{- define "vidrec.metadata" -}}
metadata:
  name: {{ include "vidrec.name" . }}
  labels:
    {{- include "vidrec.labels" . | nindent 4 }}
  {{- with get . "annotations" }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* `off` without quotes is false in YAML. */}}
{{- define "vidrec.auth" -}}
{{- ternary "keys" "off" (eq (toString .Values.auth) "keys") -}}
{{- end -}}

{{/* `repository` and `tag`; a digest goes behind an @. */}}
{{- define "vidrec.image" -}}
{{- $tag := get . "tag" | default .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- printf "%s/%s%s%s" (trimSuffix "/" .root.Values.image.registry) .repository (ternary "@" ":" (hasPrefix "sha256:" $tag)) $tag | quote -}}
{{- end -}}

{{/* Address at which viewers reach the API, where one is known. */}}
{{- define "vidrec.publicUrl" -}}
{{- $ingress := .Values.ingress -}}
{{- if .Values.publicUrl -}}
{{- .Values.publicUrl -}}
{{- else if and $ingress.enabled $ingress.host -}}
{{- printf "%s://%s" (ternary "https" "http" (ne $ingress.tlsSecret "")) $ingress.host -}}
{{- else if and .Values.gateway.enabled .Values.gateway.hostnames -}}
{{- printf "https://%s" (first .Values.gateway.hostnames) -}}
{{- end -}}
{{- end -}}

{{/* Port of a URL, named or that of its scheme. */}}
{{- define "vidrec.portOf" -}}
{{- $named := regexReplaceAll "^https?://[^/:]+:?([0-9]*).*$" . "${1}" -}}
{{- $named | default (ternary "80" "443" (hasPrefix "http://" .)) -}}
{{- end -}}
