#!/usr/bin/env bash
# `make kind`: both images, a kind cluster, the overlay dev in it, a video uploaded and recommendations asked for. Run again it
# takes the cluster that is there; `kind delete cluster --name vidrec` removes it.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in kind kubectl; do
  command -v "$program" >/dev/null || { echo "error: $program is not here: install it (https://kind.sigs.k8s.io, https://kubernetes.io/docs/tasks/tools)" >&2; exit 2; }
done
tag=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
context=kind-vidrec namespace=vidrec-dev
k() { kubectl --context "$context" --namespace "$namespace" "$@"; }

REGISTRY=localhost TAG=$tag images/build.sh
kind get clusters | grep -qx vidrec || kind create cluster --name vidrec
kind load docker-image --name vidrec "localhost/vidrec:$tag" "localhost/vidrec-encoder:$tag"
kubectl --context "$context" apply -k k8s/overlays/dev
echo "waiting until all pods are ready (images of Milvus and PostgreSQL are fetched the first time)"
k rollout status --timeout=15m statefulset/postgres statefulset/milvus statefulset/s3
k wait --for=condition=Available --timeout=10m deployment --all

k port-forward service/vidrec-api 3000:80 >/dev/null & api=$!
k port-forward service/s3 9000:9000 >/dev/null & store=$!
trap 'kill $api $store' EXIT
for _ in $(seq 60); do curl -sf http://127.0.0.1:3000/readyz >/dev/null && break; sleep 1; done
PATH=$PWD/.venv/bin:$PATH ADDRESS=http://127.0.0.1:3000 AUTH=off TIMEOUT_S=300 \
  .venv/bin/python helm/vidrec/files/upload_then_recommend.py
echo "it works; see it by: kubectl --context $context --namespace $namespace port-forward service/vidrec-api 3000:80"
