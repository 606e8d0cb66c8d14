# zoogate: what a newcomer types. Every target installs what it lacks and says so.
#
# `make test` and `make demo` need a Debian-like machine with a Rust toolchain, and nothing else.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build provider image deb fuzz test test-matrix test-provider test-deb test-helm test-cluster test-image demo \
	check setup setup-matrix setup-demo lint ci clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

build: ## the program, target/release/zoogate
	ZOOGATE_REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" cargo build --release --locked --bin zoogate

provider: ## the jar for ZooKeeper's side of native x509 ids, target/zoogate-zookeeper-provider.jar
	deploy/zookeeper-provider/build.sh

image: ## the container image, target/zoogate-image.tar; needs no Docker
	deploy/container/build.sh

deb: ## the Debian package, in target/debian
	deploy/debian/build.sh

test: setup ## all tests, with real ZooKeeper servers and real clients
	ZOOKEEPER_VERSIONS="$${ZOOKEEPER_VERSIONS:-3.4.14 3.6.4 3.9.5}" cargo test --locked --no-fail-fast

test-matrix: setup-matrix ## zoogate in front of a server of every line, 3.4 to 3.9
	ZOOKEEPER_VERSIONS="3.4.14 3.5.10 3.6.4 3.7.2 3.8.6 3.9.5" cargo test --locked --test matrix --test translate

test-provider: setup ## the jar on real servers of every line from 3.4 to 3.9
	tests/provider/run.sh

test-helm: setup-demo ## the Helm chart, without a cluster; UPDATE=1 rewrites what is generated
	tests/helm/run.sh

test-cluster: ## the Helm chart on the cluster of KUBECONFIG, such as kind's; LOAD_IMAGE loads an image's tarball there
	tests/cluster/run.sh

test-image: setup ## the container image, unpacked and run without a right too many; needs root
	tests/image/run.sh

test-deb: ## the package and docs/install-systemd.md in a booted Debian with ZooKeeper; needs root
	tests/deb/run.sh

fuzz: ## the parsers before libFuzzer, a minute each; TARGET names some, SECONDS_EACH says how long (fuzz/README.md)
	fuzz/run

demo: setup-demo ## ZooKeeper behind zoogate on this machine, to look at; Ctrl-C ends it
	cargo build --locked --bin zoogate
	deploy/demo/demo.sh

setup: ## what the tests need: Java, ZooKeeper 3.4 to 3.9, Curator, kazoo, the C client, promtool, Chromium
	@tests/setup/setup.sh test

setup-matrix: ## the same with every line of ZooKeeper
	@tests/setup/setup.sh matrix

setup-demo: ## what the demo needs: Java, ZooKeeper 3.9, kazoo
	@tests/setup/setup.sh demo

lint: ## format, clippy and documentation, without warnings
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

ci: ## everything that must pass before a change is taken
	.ci/run

clean: ## remove what was built and set up
	cargo clean
