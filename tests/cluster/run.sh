#!/usr/bin/env bash
# Tests the chart on the cluster of KUBECONFIG, in namespaces of its own (zoogate-test…), which it removes before and after.
# Needs kubectl, helm, docker's or another way to load an image, Java, openssl. Takes about a quarter of an hour.
#
#   LOAD_IMAGE   the command that loads an image's tarball into the nodes; `kind load image-archive` if unset
#   TESTS        words; only checks whose names have one of them, and what they need
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for tool in kubectl helm openssl javac python3; do
  command -v $tool >/dev/null || { echo "run.sh: $tool is missing" >&2; exit 1; }
done
kubectl version --output=json >/dev/null || { echo "run.sh: KUBECONFIG leads to no cluster" >&2; exit 1; }
tests/setup/setup.sh demo
IMAGE_NAME=localhost/zoogate:test IMAGE_TAR=target/zoogate-test-image.tar deploy/container/build.sh dev
IMAGE_NAME=localhost/zookeeper:test IMAGE_TAR=$PWD/target/zookeeper-test-image.tar tests/cluster/zookeeper-image.sh --if-missing
for image in target/zoogate-test-image.tar target/zookeeper-test-image.tar; do
  ${LOAD_IMAGE:-kind load image-archive} $image
done
mkdir -p target/cluster/classes
javac -Xlint:all,-classfile,-options -Werror --release 17 -proc:none -cp "$(<target/zookeeper/3.9.5/cp.txt)" \
  -d target/cluster/classes tests/cluster/Load.java
exec python3 -u tests/cluster/checks.py
