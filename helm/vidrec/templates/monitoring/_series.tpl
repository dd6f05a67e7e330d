{{/* Puts this release's series into an expression: $api (its canary too), $encoder, $worker, and $callers, which are those
     who call the stores; $gpu, as the DCGM exporter names the pods that hold a GPU. */}}
{{- define "vidrec.series" -}}
{{- $names := dict }}
{{- range $component := list "api" "encoder" "worker" }}
{{- $_ := set $names $component (include "vidrec.name" (dict "root" $.root "component" $component)) }}
{{- end }}
{{- $namespace := printf "namespace=%q" .root.Release.Namespace -}}
{{- .text
  | replace "$api" (printf "%s,service=~\"%s(-canary)?\"" $namespace $names.api)
  | replace "$encoder" (printf "%s,service=%q" $namespace $names.encoder)
  | replace "$worker" (printf "%s,service=%q" $namespace $names.worker)
  | replace "$gpu" (printf "exported_namespace=%q,exported_pod=~\"%s-.*\"" .root.Release.Namespace $names.encoder)
  | replace "$callers" (printf "%s,service=~\"%s(-canary)?|%s\"" $namespace $names.api $names.worker) -}}
{{- end -}}

{{/* Whether a share is used up `factor` times as fast as the objective allows, over a long and a short window: it is
     serious, and still going on (Google's SRE workbook, "Alerting on SLOs"). */}}
{{- define "vidrec.burning" -}}
{{- $parts := list }}
{{- range $window := .windows }}
{{- $bad := $.alert.bad | trim | replace "$window" $window }}
{{- $of := $.alert.of | trim | replace "$window" $window }}
{{- $parts = append $parts (printf "((%s) / (%s) > %s)" $bad $of $.threshold) }}
{{- end }}
{{- join "\nand\n" $parts -}}
{{- end -}}
