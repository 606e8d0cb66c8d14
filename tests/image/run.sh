#!/usr/bin/env bash
# The container image, unpacked and run as a careful container runtime would: read-only root, no capabilities, a user of
# its own, a network of loopback alone; and the commands of docs/install-docker.md. Must be run by root.
#
#   run.sh              a developer's build (in CI)
#   run.sh TARBALL      that image
#
# Takes half a minute, and the first time a minute more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=tests/image
venv=$PWD/target/image/venv
export PYTHONDONTWRITEBYTECODE=1

[ "$(id -u)" = 0 ] || {
  echo "$here/run.sh: only root can make containers; try sudo" >&2
  exit 1
}
if [ "${1-}" = --inside ]; then
  ip link set lo up
  exec "$venv/bin/python" -m unittest discover --start-directory $here --pattern '*_test.py' "${@:2}"
fi

image=${1-}
if [ -z "$image" ]; then
  image=$PWD/target/image/zoogate-dev.tar
  IMAGE_TAR=$image deploy/container/build.sh dev
  IMAGE_TAR=$image.again deploy/container/build.sh dev
  cmp "$image" "$image.again" || { echo "the same sources give two images" >&2; exit 1; }
  rm "$image.again"
fi
cmp -s $here/requirements.txt "$venv/installed.txt" || {
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r $here/requirements.txt
  cp $here/requirements.txt "$venv/installed.txt"
}
"$venv/bin/hadolint" deploy/container/Dockerfile
tests/cluster/zookeeper-image.sh --if-missing
# Cargo may want a network, which there is not inside.
cargo tree --locked --edges normal,no-proc-macro --prefix none --target "$(rustc -vV | sed -n 's/^host: //p')" \
  --format '{p}' | cut -d' ' -f1,2 | sort -u >target/image/crates.txt
ZOOGATE_IMAGE=$image exec unshare --net $here/run.sh --inside
