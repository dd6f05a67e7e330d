{{/* Annotations of what must be there before the pods are; `weight` orders it. */}}
{{- define "vidrec.hook" -}}
{{- if eq .root.Values.migrations.mode "hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
{{- end -}}
