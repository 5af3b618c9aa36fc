# Every step of CI, under the name that CI uses. `make help` lists them.

CARGO ?= cargo
IMAGE ?= mllp-bridge
DENY_VERSION := 0.20.2

# cargo-deny: the one on the PATH, else one kept under target/.
TOOLS := $(CURDIR)/target/tools
export PATH := $(PATH):$(TOOLS)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: ci
ci: fmt-check lint doc deny chart-tools test interop fhir demo bench-smoke e2e ## Everything that CI runs, in its order

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: fmt-check
fmt-check: ## Fail on unformatted code
	$(CARGO) fmt --all -- --check

.PHONY: lint
lint: ## Clippy on everything; a warning is an error
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings

.PHONY: test
test: ## Unit, integration and doc tests
	$(CARGO) test --locked --workspace

# The peers are other people's: each is of one version, checked by its hash, under target/interop.
.PHONY: interop
interop: ## Other people's MLLP clients and parsers against the bridge: HAPI HL7v2, Python, Node.js; Schemathesis against its API
	@tests/tools/interop.sh
	INTEROP=required $(CARGO) test --locked --test interop

# These are other people's too, under target/fhir.
.PHONY: fhir
fhir: ## Three validators of FHIR R4 and a real FHIR server, and what is worth knowing of them
	@tests/tools/fhir.sh
	FHIR=required $(CARGO) test --locked --test fhir
	FHIR=required $(CARGO) test --locked --test guide

.PHONY: doc
doc: ## API docs; a broken link is an error
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps

.PHONY: deny
deny: tools ## Licences, banned and duplicate crates, sources; needs no network
	$(CARGO) deny --locked check bans licenses sources

.PHONY: deny-advisories
deny-advisories: tools ## Known vulnerabilities; fetches the advisory database, so not part of ci
	$(CARGO) deny --locked check advisories

.PHONY: examples
examples: ## Check the examples' own style and run each beside the bridge
	python3 -m py_compile examples/python/app.py examples/send/send.py
	node --check examples/node/app.mjs
	node --check examples/send/send.mjs
	sh -n examples/send/send.sh
	test -z "$$(gofmt -l examples/send | tee /dev/stderr)" && GOTOOLCHAIN=local go vet examples/send/send.go
	cd examples/go && test -z "$$(gofmt -l . | tee /dev/stderr)" && GOTOOLCHAIN=local go vet ./...
	$(CARGO) test --locked --test examples

.PHONY: chart
chart: chart-tools ## The chart and the manifests: lint, schema, what is rendered by helm 3 and 4, alerts
	$(CARGO) test --locked --test chart

.PHONY: chart-tools
chart-tools: ## Fetch helm 3, helm 4, kubectl and promtool into target/tools, where they are missing
	@tests/tools/helm.sh
	@tests/tools/promtool.sh

.PHONY: manifests
manifests: chart-tools ## Write what is made from the chart: manifests/, its README.md, the schema's borrowed part
	UPDATE_DOCS=1 $(CARGO) test --locked --test chart generated::generated_

.PHONY: docs
docs: ## Write the pages that are made from the code: docs/config.md, its schema, the schemas of mapping files, the full example, docs/interop.md, docs/guide-rows.md, docs/guide-vocabularies.md, docs/fhir-shares.md, a table in tests/fhir
	UPDATE_DOCS=1 $(CARGO) test --locked --test generated_docs
	UPDATE_DOCS=1 $(CARGO) test --locked --test interop the_page
	UPDATE_DOCS=1 $(CARGO) test --locked --test fhir the_readme
	UPDATE_DOCS=1 $(CARGO) test --locked --test guide the_page
	UPDATE_DOCS=1 $(CARGO) test --locked --test guide_vocabularies the_page
	UPDATE_DOCS=1 $(CARGO) test --locked --test fhir_maps every_covered

# The bridge is built alone: beside the tests' dependencies tokio would get its test clock, and be slower.
.PHONY: bench
bench: ## Measure everything, against nginx in the same run (about 20 minutes; nothing else should run)
	$(CARGO) build --locked --release
	$(CARGO) bench --locked --bench end_to_end -- --bridge $(CURDIR)/target/release/mllp-bridge
	$(CARGO) bench --locked --bench http_client
	$(CARGO) bench --locked --bench hot_path
	$(CARGO) bench --locked --bench fhir

.PHONY: bench-smoke
bench-smoke: ## Show that the end-to-end benchmark works and that every answer in it is right
	$(CARGO) build --locked --release
	$(CARGO) bench --locked --profile dev --bench end_to_end -- --quick --bridge $(CURDIR)/target/release/mllp-bridge

.PHONY: demo
demo: ## README's first command
	$(CARGO) run --locked --release -- demo

.PHONY: image
image: ## Build the container image, for this machine's architecture
	docker build --tag $(IMAGE) .

.PHONY: image-local
image-local: ## Build the image without a container engine (needs root and buildah): target/images/mllp-bridge.tar
	tests/cluster/images bridge

# A node of Kubernetes on this machine, or the user's own: make e2e CLUSTER=current.
CLUSTER ?= own
.PHONY: e2e
e2e: ## The bridge in a real cluster (needs root; the first time builds Kubernetes, about 15 minutes)
	tests/e2e/run $(CLUSTER)

.PHONY: tools
tools: ## Build the tools that the steps need and that are missing
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked --version $(DENY_VERSION) --root $(TOOLS)
