{{/* Grafana's form of files/dashboard.yaml: two panels side by side. */}}
{{- define "vidrec.dashboard" -}}
uid: {{ printf "%s %s" .Release.Namespace .Release.Name | sha256sum | trunc 16 }}
title: vidrec / {{ .Release.Namespace }} / {{ .Release.Name }}
tags: [vidrec]
schemaVersion: 39
timezone: browser
refresh: 30s
time: { from: now-3h, to: now }
templating:
  list:
    - { name: datasource, type: datasource, query: prometheus, label: Prometheus }
panels:
  {{- range $index, $panel := (.Files.Get "files/dashboard.yaml" | fromYaml).panels }}
  - id: {{ add1 $index }}
    type: timeseries
    title: {{ $panel.title | quote }}
    description: {{ $panel.description | default "" | quote }}
    gridPos: { h: 8, w: 12, "x": {{ mul 12 (mod $index 2) }}, "y": {{ mul 8 (div $index 2) }} }
    datasource: { type: prometheus, uid: "${datasource}" }
    fieldConfig:
      defaults: { unit: {{ $panel.unit }}, min: 0 }
      overrides: []
    targets:
      {{- range $at, $query := $panel.queries }}
      - refId: {{ substr $at (int (add1 $at)) "ABCDEFGH" }}
        legendFormat: {{ $query.legend | quote }}
        expr: {{ include "vidrec.series" (dict "root" $ "text" $query.expr) | quote }}
      {{- end }}
  {{- end }}
{{- end -}}
