# vidrec. `make help` explains every target. Nothing here needs root but test-deps.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
# uv from PATH, otherwise from PyPI into .uv (pinned, with hashes)
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := .venv-run
DEV := .venv
TRAIN := .venv-train
GPU := .venv-gpu
BIN := build/tools/bin

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  %-14s %s\n", $$1, $$2}'

# ------------------------------------------------------------------------------------------------ use it

.PHONY: run
run: $(RUN)/.ready ## Start everything and print the page's address. VIDEOS=folder, DATA=folder, MODEL=folder, PORT=3000
	@exec $(RUN)/bin/vidrec run $(if $(VIDEOS),--videos "$(VIDEOS)") $(if $(DATA),--data "$(DATA)") $(if $(MODEL),--model "$(MODEL)") $(if $(PORT),--port "$(PORT)")

.PHONY: train-env
train-env: $(TRAIN)/.ready ## Make .venv-train, which holds torch, for `vidrec model train` (3 GB)

# ----------------------------------------------------------------------------------------------- test it

.PHONY: test
test: $(DEV)/.ready ## Run the tests: unit, contract, service, e2e (under 10 minutes, no root)
	$(DEV)/bin/python -m pytest -m "not full and not cluster" $(ARGS)

.PHONY: test-deps
test-deps: ## Install the Debian packages that test-full can use (the only step that needs root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk

.PHONY: test-full
test-full: $(DEV)/.ready $(TRAIN)/.ready helm versitygw ## Run the long tests too: training, model exports, browser, kill tests, chart, bento build
	$(TRAIN)/bin/python -m pytest tests/full $(ARGS)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(DEV)/bin/python -m pytest -m full --ignore=tests/full $(ARGS)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(DEV)/bin/python -m pytest tests/chart $(ARGS)

.PHONY: test-cluster
test-cluster: $(DEV)/.ready helm cluster-tools ## Test chart and manifests on a real control plane with fake nodes (needs Go; builds it once, 20 minutes)
	$(DEV)/bin/python -m pytest tests/cluster -m cluster $(ARGS)

.PHONY: screenshots
screenshots: $(DEV)/.ready ## Write docs/images: the pages of a running demo (needs chromium: make test-deps)
	$(DEV)/bin/python -m tests.browser.screenshots

.PHONY: lint
lint: $(DEV)/.ready ## Check style, types, layers and that generated files are current
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

.PHONY: format
format: $(DEV)/.ready ## Format the code
	$(DEV)/bin/ruff check --fix --exit-zero -q .
	$(DEV)/bin/ruff format .

.PHONY: bench
bench: $(DEV)/.ready ## Measure: encoder, search, decode, ingest, recommend, upload, memory, pictures, readout; writes docs/benchmarks.md
	$(foreach part,encoder search decode ingest recommend upload memory pictures readout,$(DEV)/bin/python -m bench.$(part)$(newline))

.PHONY: quality
quality: $(DEV)/.ready ## Measure how well encoders put like beside like and recommenders find what was liked; writes docs/quality.md (needs the test media)
	$(DEV)/bin/python -m bench.quality
	$(DEV)/bin/python -m bench.recommenders

.PHONY: bench-scale
bench-scale: $(DEV)/.ready ## Measure what a cluster is for: 10 million interactions (5 GB of disk), 100,000 videos, a long video over workers
	$(foreach part,interactions scale_recommend split,$(DEV)/bin/python -m bench.$(part)$(newline))

.PHONY: bench-gpu
bench-gpu: ## Measure the encoder on a GPU (skips in one sentence without one; makes .venv-gpu, 3 GB)
	@if [[ -e /dev/nvidia0 || "$$(nvidia-smi -L 2>/dev/null)" == GPU* ]]; then \
	  $(MAKE) $(GPU)/.ready && exec $(GPU)/bin/python -m bench.encoder_gpu; \
	else $(PYTHON) -m bench.encoder_gpu; fi # says why not; that needs no environment

# ---------------------------------------------------------------------------------------------- build it

.PHONY: lock
lock: .uv/bin/uv ## Compile requirements/*.txt from pyproject.toml (hashed; name no registry)
	@compile() { .uv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$$@"; }; \
	compile requirements/uv.in -o requirements/uv.txt; \
	compile requirements/build.in -o requirements/build.txt; \
	compile --extra cpu pyproject.toml -o requirements/run.txt; \
	compile --extra gpu pyproject.toml -o requirements/run-gpu.txt; \
	compile --extra cpu --group test pyproject.toml -c requirements/run.txt -o requirements/test.txt; \
	compile --extra train --group train-test pyproject.toml -c requirements/run.txt -o requirements/train.txt

.PHONY: helm
helm: ## Build helm into build/tools where there is none and Go is there
	@command -v helm >/dev/null || [ -x $(BIN)/helm ] || ! command -v go >/dev/null || \
	  { echo "building helm $(HELM_VERSION) (about two minutes the first time)"; \
	    GOBIN="$(CURDIR)/$(BIN)" CGO_ENABLED=0 go install -ldflags "$(HELM_STAMP)" helm.sh/helm/v3/cmd/helm@$(HELM_VERSION); }
HELM_VERSION := v3.21.4
# Without these a self-built helm takes itself for one of Kubernetes 1.20.
HELM_STAMP := -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=36 \
  -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=36

.PHONY: versitygw
versitygw: ## Build versitygw, an S3 server for tests, into build/tools where there is none and Go is there
	@command -v versitygw >/dev/null || [ -x $(BIN)/versitygw ] || ! command -v go >/dev/null || \
	  { echo "building versitygw $(VERSITYGW_VERSION) (about a minute the first time)"; \
	    GOBIN="$(CURDIR)/$(BIN)" CGO_ENABLED=0 go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION); }
VERSITYGW_VERSION := v1.7.0

.PHONY: images
images: $(DEV)/.ready ## Build both images: REGISTRY=registry.example.com/team, TAG, GPU=1, MODEL=folder, PUSH=1
	@REGISTRY="$(REGISTRY)" TAG="$(TAG)" GPU="$(GPU)" MODEL="$(MODEL)" PUSH="$(PUSH)" images/build.sh

.PHONY: kind
kind: $(DEV)/.ready ## Build images, start a kind cluster with the whole system, upload and ask for recommendations
	@images/kind.sh

.PHONY: chart
chart: $(DEV)/.ready ## Make the chart's schema and README of the comments in its values
	@$(DEV)/bin/python helm/generate.py

.PHONY: cluster-tools
cluster-tools: ## Build Kubernetes' control plane, kwok, metrics-server and etcd into build/tools where Go is there
	@[ -e $(CLUSTER_STAMP) ] || ! command -v go >/dev/null || $(MAKE) $(CLUSTER_STAMP)
KUBERNETES_VERSION := v1.36.4
KWOK_VERSION := v0.8.0
METRICS_SERVER_VERSION := v0.8.0
KEDA_VERSION := v2.21.0
PROMETHEUS_OPERATOR_VERSION := v0.85.0
GATEWAY_API_VERSION := v1.6.3
CLUSTER_STAMP := build/tools/cluster-$(KUBERNETES_VERSION)-$(KWOK_VERSION)-$(METRICS_SERVER_VERSION)-$(KEDA_VERSION)-$(PROMETHEUS_OPERATOR_VERSION)-$(GATEWAY_API_VERSION)
# Without these the binaries take themselves for a version that Helm and the chart refuse.
KUBERNETES_STAMP := -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION) -X k8s.io/component-base/version.gitMajor=1 \
  -X k8s.io/component-base/version.gitMinor=36
# Compiling with fewer processes at a time (GOBUILD="-p 1") leaves the machine to others.
GOBUILD ?=
GO_INSTALL = GOBIN="$(CURDIR)/$(BIN)" CGO_ENABLED=0 go install $(GOBUILD)
# Folder of a module's source, fetched and checked by Go.
go_module = $$(cd / && go mod download -json $(1) | sed -n 's/^\t"Dir": "\(.*\)",*$$/\1/p')
$(CLUSTER_STAMP):
	@echo "building Kubernetes $(KUBERNETES_VERSION) and what goes with it (about twenty minutes the first time)"
	@cd tests/cluster/tools && $(GO_INSTALL) -ldflags "-s -w $(KUBERNETES_STAMP)" \
	  $(addprefix k8s.io/kubernetes/cmd/,kube-apiserver kube-controller-manager kube-scheduler kubectl)
	@cd tests/cluster/tools && CGO_ENABLED=0 go build $(GOBUILD) -ldflags "-s -w" -o "$(CURDIR)/$(BIN)/etcd" go.etcd.io/etcd/server/v3
	@cd / && $(GO_INSTALL) -ldflags "-s -w" $(addsuffix @$(KWOK_VERSION),$(addprefix sigs.k8s.io/kwok/cmd/,kwok kwokctl))
	@cd / && $(GO_INSTALL) -ldflags "-s -w -X k8s.io/client-go/pkg/version.gitVersion=$(METRICS_SERVER_VERSION)" \
	  sigs.k8s.io/metrics-server/cmd/metrics-server@$(METRICS_SERVER_VERSION)
	@rm -rf build/tools/crds build/tools/kwok build/tools/metrics-server && mkdir -p build/tools/crds build/tools/kwok
	@cp -r "$(call go_module,sigs.k8s.io/metrics-server@$(METRICS_SERVER_VERSION))"/manifests/base build/tools/metrics-server
	@cp "$(call go_module,github.com/kedacore/keda/v2@$(KEDA_VERSION))"/config/crd/bases/keda.sh_*.yaml build/tools/crds
	@cp "$(call go_module,github.com/prometheus-operator/prometheus-operator@$(PROMETHEUS_OPERATOR_VERSION))"/example/prometheus-operator-crd/*_{servicemonitors,podmonitors,prometheusrules}.yaml build/tools/crds
	@cp "$(call go_module,sigs.k8s.io/gateway-api@$(GATEWAY_API_VERSION))"/config/crd/standard/*_{gateways,gatewayclasses,httproutes}.yaml build/tools/crds
	@stages="$(call go_module,sigs.k8s.io/kwok@$(KWOK_VERSION))/kustomize/stage"; \
	  cp "$$stages"/node/fast/node-*.yaml "$$stages"/node/heartbeat-with-lease/node-*.yaml "$$stages"/pod/fast/pod-*.yaml build/tools/kwok
	@chmod -R u+w build/tools/crds build/tools/kwok build/tools/metrics-server && touch $@

.PHONY: k8s
k8s: helm chart ## Render k8s/base from the chart
	@PATH="$(CURDIR)/$(BIN):$$PATH" helm template vidrec helm/vidrec --skip-tests --values k8s/base/values.yaml > k8s/base/vidrec.yaml

.PHONY: clean
clean: ## Remove environments and build output; keeps data/
	rm -rf .uv $(RUN) $(DEV) $(TRAIN) $(GPU) build dist .pytest_cache .mypy_cache .ruff_cache

# ------------------------------------------------------------------------------------------ environments

define newline


endef

.uv/bin/uv: requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "vidrec needs Python 3.11, 3.12 or 3.13; found: $$(python3 --version 2>&1). Set PYTHON=/path/to/python" >&2; exit 1; }
	@echo "getting uv"
	@$(PYTHON) -m venv .uv || { echo "could not make a virtual environment: on Debian, install python3-venv" >&2; exit 1; }
	@.uv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# A stamp is written last, so an interrupted install is done again.
define environment
$(1)/.ready: $(2) pyproject.toml $(if $(filter .uv/bin/uv,$(UV)),.uv/bin/uv)
	@test -n "$(PYTHON)" || { echo "vidrec needs Python 3.11, 3.12 or 3.13; found: $$$$(python3 --version 2>&1). Set PYTHON=/path/to/python" >&2; exit 1; }
	@echo "setting up $(1) from $(2)"
	@test -x $(1)/bin/python || $$(UV) venv -q --python $$(PYTHON) $(1)
	@$$(UV) pip sync -q --python $(1)/bin/python --require-hashes $(2)
	@$$(UV) pip install -q --python $(1)/bin/python --build-constraints requirements/build.txt --no-deps -e .
	@touch $$@
endef
$(eval $(call environment,$(RUN),requirements/run.txt))
$(eval $(call environment,$(DEV),requirements/test.txt))
$(eval $(call environment,$(TRAIN),requirements/train.txt))
$(eval $(call environment,$(GPU),requirements/run-gpu.txt))
