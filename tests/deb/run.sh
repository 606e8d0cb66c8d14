#!/usr/bin/env bash
# The Debian package in a Debian that has nothing else: a booted systemd in a container of its own network, and in it
# inside.sh, which installs, runs in front of Debian's ZooKeeper, upgrades, and purges.
#
# Needs root, for the container. The root file system (1 GB) is made once, in target/deb/root, in four minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$PWD/target/deb
suite=bookworm

say() { printf '\033[1mtest-deb:\033[0m %s\n' "$*"; }
die() {
  printf 'test-deb: %s\n' "$*" >&2
  exit 1
}

[ "$(id -u)" -eq 0 ] || die "needs root, for a container that boots systemd: sudo make test-deb"

missing=()
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
command -v dpkg-deb >/dev/null || missing+=(dpkg)
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing Debian packages: ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

mkdir -p "$work"
if [ ! -e "$work/root/made" ]; then
  say "making a Debian $suite with ZooKeeper in target/deb/root"
  rm -rf "$work/root"
  # What the package depends on, ZooKeeper, and what the test asks with. Nothing starts while it is made.
  mmdebstrap --quiet --variant=minbase \
    --include=systemd,systemd-sysv,procps,passwd,openssl,curl,python3-minimal,zookeeperd \
    "$suite" "$work/root" || die "mmdebstrap failed; see its message above"
  printf '127.0.0.1 localhost\n' >"$work/root/etc/hosts"
  echo zk1 >"$work/root/etc/hostname"
  touch "$work/root/made"
fi

# Two versions of the package around the program that the tests have built: how that is optimized makes no difference.
say "building the packages"
cargo build --quiet --locked --bin zoogate
rm -rf "$work/share"
mkdir -p "$work/share"
cp tests/deb/inside.sh docs/install-systemd.md "$work/share/"
for version in 0.1.0-1 0.1.0-2; do
  deploy/debian/build.sh --no-build --profile=dev --strip --fast --deb-version "$version" \
    --output "$work/share/zoogate_${version}_amd64.deb" >"$work/build.log" 2>&1 || die "$(tail -n 20 "$work/build.log")"
done

if command -v lintian >/dev/null; then
  lintian --fail-on error,warning --allow-root "$work/share/zoogate_0.1.0-1_amd64.deb" || die "lintian has found something"
fi

say "booting it"
flags=(--register=no --private-network --volatile=overlay --link-journal=no --console=pipe)
# Where the machine itself has no systemd, there is no unit to put the container into.
[ -d /run/systemd/system ] || flags+=(--keep-unit)
timeout 600 systemd-nspawn --quiet "${flags[@]}" --directory "$work/root" --bind "$work/share:/share" \
  --bind-ro "$PWD/tests/deb/zoogate-test.service:/etc/systemd/system/zoogate-test.service" \
  --boot -- --unit=zoogate-test.service >"$work/console.log" 2>&1 </dev/null || true
cat "$work/share/log" 2>/dev/null || true
[ "$(cat "$work/share/rc" 2>/dev/null)" = 0 ] || die "failed; the console is in $work/console.log, its end: $(tail -n 5 "$work/console.log")"
say "passed ($SECONDS s)"
