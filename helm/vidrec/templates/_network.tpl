{{/* The policy of a component: `ingress` is a list of rules as text, `egress` a list of names of the helpers below. */}}
{{- define "vidrec.networkPolicy" -}}
{{- if .root.Values.networkPolicy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{{ include "vidrec.metadata" . }}
spec:
  podSelector:
    matchLabels:
      {{- include "vidrec.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- with get . "ingress" }}
  ingress:
    {{- range . }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- end }}
  egress:
    {{- range .egress }}
    {{- with include (printf "vidrec.reach.%s" .) $.root }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end }}
{{- end -}}

{{/* One rule: `to` as the values give it, else anywhere but the addresses of clouds' metadata; on one port. */}}
{{- define "vidrec.reach" -}}
- to:
    {{- if .to }}
    {{- toYaml .to | nindent 4 }}
    {{- else }}
    - namespaceSelector: {}
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [169.254.0.0/16, 168.63.129.16/32, 100.100.100.200/32]
    - ipBlock:
        cidr: "::/0"
        except: ["fe80::/10", "fd00:ec2::/32"]
    {{- end }}
  ports:
    - { protocol: TCP, port: {{ .port }} }
{{- end -}}

{{- define "vidrec.reach.dns" -}}
- ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
  {{- with .Values.networkPolicy.dns }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "vidrec.reach.database" -}}
{{- include "vidrec.reach" (dict "to" .Values.networkPolicy.database "port" (int .Values.database.port)) }}
{{- end -}}

{{- define "vidrec.reach.milvus" -}}
{{- include "vidrec.reach" (dict "to" .Values.networkPolicy.milvus "port" (include "vidrec.portOf" .Values.milvus.uri)) }}
{{- end -}}

{{- define "vidrec.reach.store" -}}
{{- include "vidrec.reach" (dict "to" .Values.networkPolicy.store "port" (include "vidrec.portOf" .Values.s3.endpoint)) }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where producers send the bytes to. */}}
{{- define "vidrec.reach.publicStore" -}}
{{- $endpoint := .Values.s3.publicEndpoint | default .Values.s3.endpoint -}}
{{- include "vidrec.reach" (dict "to" (list) "port" (include "vidrec.portOf" $endpoint)) }}
{{- end -}}

{{- define "vidrec.reach.tracing" -}}
{{- with .Values.tracing.endpoint }}
{{- include "vidrec.reach" (dict "to" $.Values.networkPolicy.tracing "port" (include "vidrec.portOf" .)) }}
{{- end }}
{{- end -}}

{{- define "vidrec.reach.encoder" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "vidrec.selector" (dict "root" . "component" "encoder") | nindent 10 }}
  ports:
    - { protocol: TCP, port: 3001 }
{{- end -}}

{{- define "vidrec.reach.api" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "vidrec.selector" (dict "root" . "component" "api") | nindent 10 }}
  ports:
    - { protocol: TCP, port: 3000 }
{{- end -}}

{{/* Who may read metrics, on the port of that name. */}}
{{- define "vidrec.scraped" -}}
- from:
    {{- if .root.Values.networkPolicy.scrapers }}
    {{- toYaml .root.Values.networkPolicy.scrapers | nindent 4 }}
    {{- else }}
    - namespaceSelector: {}
    {{- end }}
  ports:
    - { protocol: TCP, port: {{ .port }} }
{{- end -}}
