# Every target says in one line what it does; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help dev build image test host-tools host-up host-down test-host test-oracle test-replay conformance conformance-host lint tools bench bench-host bench-peers bench-sync bench-store bench-dns fuzz codegen codegen-check

CACHE := .cache
OBJECTS ?= 10000
DENY_VERSION := 0.20.2
DENY := $(CACHE)/deny/bin/cargo-deny

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' Makefile

dev: ## run two clusters here: a host with simulated nodes, and the tenant demo on it
	@echo "make dev: building, then running a host and the tenant demo in one process"
	cargo run --release -- dev $(ARGS)

build: ## build target/release/alcove
	@echo "make build: building target/release/alcove"
	cargo build --release

image: ## make the image of alcove, .cache/image/alcove.tar, for `ctr images import` and the like
	@echo "make image: building a static binary, then .cache/image/alcove.tar of it"
	tools/image.py $(CACHE)/image/alcove.tar

test: tools ## run all tests: units, and the whole product with the real kubectl and helm
	@echo "make test: running all tests"
	cargo test --workspace

host-tools: ## install the Debian packages that the test host is made of (as root)
	@echo "make host-tools: installing the packages of the test host that are missing"
	tests/host/install.sh

host-up: tools ## boot a real Kubernetes with one node on this machine (as root; ten minutes the first time)
	@echo "make host-up: building the test host's programs and images below $(CACHE)/host, then booting it"
	tests/host/host.py check
	tests/host/programs/build.sh $(CACHE)/host/bin
	tests/host/images.py $(CACHE)/host/bin $(CACHE)/host/images
	tests/host/host.py up

host-down: ## end that Kubernetes; what was built stays
	@echo "make host-down: ending the test host"
	tests/host/host.py down

test-host: image host-up ## play what tenants do on that Kubernetes; SCENARIOS='pods dns' chooses by name
	@echo "make test-host: playing scenarios with the image of alcove on the test host"
	tests/host/host.py import $(CACHE)/image/alcove.tar
	# Of the whole workspace, as `make test` builds it: one package alone has its dependencies built anew.
	ALCOVE_HOST_KUBECONFIG=$(CURDIR)/$(CACHE)/host/admin.kubeconfig cargo test --workspace --test host -- $(SCENARIOS)

test-oracle: ## compare with upstream's libraries on OBJECTS (10000) generated objects; ALCOVE_ORACLE_SEED chooses others
	@echo "make test-oracle: comparing $(OBJECTS) generated objects, and what is made from them, with upstream's libraries"
	# Of the whole workspace, as `make test` builds it: one package alone has its dependencies built anew.
	ALCOVE_ORACLE_OBJECTS=$(OBJECTS) cargo test --workspace --test oracle -- $(AREAS)

test-replay: tools ## send the same requests to alcove and to kube-apiserver, and compare the answers
	@echo "make test-replay: building alcove and its peers, then playing tests/replay/sequences on both"
	# Of the whole workspace, as `make test` builds it: one package alone has its dependencies built anew.
	cargo build --workspace
	tests/host/programs/build.sh $(CACHE)/host/bin kube-apiserver kube-controller-manager etcd
	tests/replay/replay.py target/debug/alcove $(REPLAY_ARGS)

conformance: ## run the upstream conformance tests that pass against a tenant (minutes; builds them the first time)
	@echo "make conformance: building alcove and upstream's tests, then running those in tests/conformance/passing.txt"
	cargo build
	tests/conformance/build.sh $(CACHE)/conformance
	tests/conformance/run.py target/debug/alcove $(CACHE)/conformance $(CONFORMANCE_ARGS)

conformance-host: image host-up ## the same against a tenant on the test host, those in its two lists
	@echo "make conformance-host: running the tests in tests/conformance/passing-{host,privileged}.txt on the test host"
	cargo build
	tests/conformance/build.sh $(CACHE)/conformance
	tests/host/host.py import $(CACHE)/image/alcove.tar
	KUBECONFIG=$(CURDIR)/$(CACHE)/host/admin.kubeconfig tests/conformance/run.py target/debug/alcove $(CACHE)/conformance \
		--host conformance --list tests/conformance/passing-host.txt $(CONFORMANCE_ARGS)
	KUBECONFIG=$(CURDIR)/$(CACHE)/host/admin.kubeconfig tests/conformance/run.py target/debug/alcove $(CACHE)/conformance \
		--host conformance --privileged --list tests/conformance/passing-privileged.txt $(CONFORMANCE_ARGS)

fuzz: ## give random input to all that reads input, FUZZ_SECONDS (60) for each; CHECKS='json cel' chooses
	@echo "make fuzz: building the fuzzer with instrumentation, then running its checks"
	fuzz/run.sh $(CHECKS)

lint: $(DENY) ## check formatting, lints, and what dependencies may be there
	@echo "make lint: rustfmt, clippy with warnings as errors, cargo-deny"
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(DENY) check bans licenses sources

tools: ## put the real kubectl and helm that tests drive into .cache/tools, and dig onto the machine
	@echo "make tools: kubectl and helm into $(CACHE)/tools; dig from Debian's bind9-dnsutils"
	@python3 tests/tools/install.py $(CACHE)/tools
	@command -v dig >/dev/null || tests/tools/dig.sh

$(DENY):
	@echo "make lint: installing cargo-deny $(DENY_VERSION), once; this takes some minutes"
	cargo install cargo-deny --locked --version $(DENY_VERSION) --root $(CACHE)/deny

codegen: ## write the table of built-in types anew from the pinned published sources
	@echo "make codegen: the table of built-in types from published packages"
	python3 src/schema/codegen/generate.py

codegen-check: ## fail if the committed table of types is not what the generator writes
	@echo "make codegen-check: comparing the table of built-in types with what the generator writes"
	python3 src/schema/codegen/generate.py --check

bench: image ## measure the program of the image, beside kube-apiserver and etcd where they are found
	@echo "make bench: measuring the program of the image and the peers that are there"
	benches/run.py $(BENCH_ARGS)
	@if test -e $(CACHE)/host/admin.kubeconfig; then benches/host.py; \
		else echo "make bench: no test host is up; make bench-host boots it and measures a tenant there"; fi

bench-host: host-up image ## measure a tenant on the test host: create, pause and resume, its pod at rest (as root)
	@echo "make bench-host: making a tenant on the test host some times"
	tests/host/host.py import $(CACHE)/image/alcove.tar
	benches/host.py $(BENCH_ARGS)

bench-peers: ## build kube-apiserver and etcd for the comparison into .cache/bench (minutes the first time)
	@echo "make bench-peers: building kube-apiserver, kube-controller-manager and etcd from pinned sources"
	benches/peers/build.sh .cache/bench

bench-sync: image ## measure the way between a tenant and its host
	@echo "make bench-sync: measuring a tenant of the image's program on a host"
	benches/sync.py $(BENCH_ARGS)

bench-store: ## measure the store alone
	@echo "make bench-store: commits, lists, watches and memory of the store"
	cargo bench -p alcove-store --profile quick --bench commits

bench-dns: ## measure the DNS server alone
	@echo "make bench-dns: answers of the DNS server, and what 5,000 services cost"
	cargo bench -p alcove-dns --profile quick --bench answers
