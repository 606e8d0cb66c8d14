#!/usr/bin/env bash
# Builds the image without Docker or any other daemon: target/zoogate-image.tar, an OCI layout that `docker load`,
# `ctr images import` and `skopeo copy oci-archive:` take. The same commit gives the same digest on the same system.
#
#   build.sh           the released program (some minutes of two cores)
#   build.sh dev       a developer's build of it, for tests
#
# IMAGE_NAME names the image (zoogate:VERSION), IMAGE_TAR the tarball.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

profile=${1:-release}
version=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
# Outside of a clone there is nothing to tell.
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || revision+=-changed
export SOURCE_DATE_EPOCH ZOOGATE_REVISION=$revision

root=target/image/root-$profile
deploy/container/rootfs.sh "$profile" "$root"
python3 deploy/container/oci.py "$root" deploy/container/Dockerfile "${IMAGE_NAME:-zoogate:$version}" \
  "${IMAGE_TAR:-target/zoogate-image.tar}" "VERSION=$version" "REVISION=$revision"
