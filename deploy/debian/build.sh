#!/usr/bin/env bash
# Builds the Debian package into target/debian/, or as cargo-deb's options say. `make deb` calls it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=3.8.0
deb=$PWD/target/tools/bin/cargo-deb
if command -v cargo-deb >/dev/null; then
  deb=cargo-deb
elif [ ! -x "$deb" ]; then
  echo "installing cargo-deb into target/tools; this takes minutes, once" >&2
  # Its own target directory, or cargo would take it apart each time.
  cargo install --quiet --locked --root target/tools --target-dir target/tools/build --version "$version" cargo-deb
  rm -rf target/tools/build
fi
command -v dpkg-shlibdeps >/dev/null || echo "warning: without dpkg-dev, dependencies on libraries are guessed" >&2

# Debian's form of a changelog, which leads to ours.
mkdir -p target/debian
release=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
maintainer=$(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)
printf 'zoogate (%s-1) unstable; urgency=medium\n\n  * See /usr/share/doc/zoogate/CHANGELOG.md.\n\n -- %s  %s\n' \
  "$release" "$maintainer" "$(date -R -r CHANGELOG.md)" >target/debian/changelog

# What `zoogate version` tells.
ZOOGATE_REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || ZOOGATE_REVISION+=-changed
export ZOOGATE_REVISION

"$deb" deb --locked "$@"
