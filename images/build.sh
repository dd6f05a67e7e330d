#!/usr/bin/env bash
# Builds both images: `make images REGISTRY=registry.example.com/team`. Also TAG=0.1.0, GPU=1 for the encoder on GPUs,
# MODEL=folder of the model that its image holds, PUSH=1, ENGINE=docker, podman or buildah. Bills of materials are written
# into build/image.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON_BIN:-.venv/bin/python}
tag=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
out=${OUT:-$PWD/build/image}

fail() { printf 'error: %s\n' "$1" >&2; exit 2; }

[ -n "${REGISTRY:-}" ] || fail "image.registry is empty: name the registry that holds your vidrec images, such as make images REGISTRY=registry.example.com/team"
case $REGISTRY in *://*) fail "REGISTRY is $REGISTRY: write it without http:// or https://, such as registry.example.com/team" ;; esac

engine=${ENGINE:-}
for found in docker podman buildah; do
  if [ -z "$engine" ] && command -v "$found" >/dev/null && "$found" info >/dev/null 2>&1; then engine=$found; fi
done
[ -n "$engine" ] || fail "no docker, podman or buildah works here: start one, or name it by ENGINE="

api=$REGISTRY/vidrec:$tag encoder=$REGISTRY/vidrec-encoder:$tag
export BENTOML_HOME=$out/bentoml BENTOML_DO_NOT_TRACK=True
mkdir -p "$BENTOML_HOME"

model=${MODEL:-}
if [ -z "$model" ]; then
  echo "no MODEL is named: taking the weights that come with vidrec, or untrained ones (vidrec model fetch gets better ones)" >&2
  rm -rf "$out/models"
  "$python" -m vidrec model export --weights built-in --out "$out/models" 2>/dev/null >&2 ||
    "$python" -m vidrec model export --weights untrained --out "$out/models" >/dev/null
  model=$(dirname "$(compgen -G "$out/models/*/manifest.json")")
fi
[ -f "$model/manifest.json" ] || fail "MODEL is $model: there is no manifest.json; vidrec model list names the folders of models"

"$engine" build --tag "$api" --build-arg VERSION="$tag" .

bentofile=bento/cpu.yaml requirements=requirements/run.txt
if [ "${GPU:-0}" = 1 ]; then bentofile=bentofile.yaml requirements=requirements/run-gpu.txt; fi
bento=$("$python" -m bentoml build --bentofile "$bentofile" --output tag . | sed -n 's/^__tag__://p')
"$python" -m bentoml containerize --backend "$engine" --image-tag "$encoder-without-model" "$bento"
rm -rf "$out/context" && mkdir -p "$out/context" && cp -rL "$model" "$out/context/model" && chmod -R a+rX "$out/context"
"$engine" build --tag "$encoder" --file images/model.Dockerfile --build-arg ENCODER="$encoder-without-model" "$out/context"

"$python" images/sbom.py vidrec "$tag" requirements/run.txt milvus-lite faiss-cpu pandas >"$out/vidrec.cdx.json"
"$python" images/sbom.py vidrec-encoder "$tag" "$requirements" >"$out/vidrec-encoder.cdx.json"

if [ "${PUSH:-0}" = 1 ]; then
  "$engine" push "$api"
  "$engine" push "$encoder"
fi
printf '%s\n%s\nbills of materials: %s\n' "$api" "$encoder" "$out"
