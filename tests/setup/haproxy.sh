#!/usr/bin/env bash
# Makes target/haproxy/haproxy, which runs Debian's HAProxy or the one that there is. The package is unpacked and not
# installed: it would start a service.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '\033[1msetup:\033[0m %s\n' "$*"; }
die() {
  printf '\033[1msetup:\033[0m %s\n' "$*" >&2
  exit 1
}

dir=$PWD/target/haproxy
[ -x "$dir/haproxy" ] && "$dir/haproxy" -v >/dev/null 2>&1 && exit 0
rm -rf "$dir" "$dir.new"
mkdir -p "$dir.new"
if command -v haproxy >/dev/null; then
  ln -s "$(command -v haproxy)" "$dir.new/haproxy"
else
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die "haproxy is missing; please install it by hand"
  say "fetching Debian's haproxy (about 3 MiB)"
  fetch() { (cd "$dir.new" && apt-get download -qq haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 >/dev/null 2>&1); }
  if ! fetch; then
    # The lists of packages are old, or there are none.
    sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq || die "apt-get update failed; see its message above"
    fetch || die "apt-get could not fetch haproxy"
  fi
  for package in "$dir.new"/*.deb; do dpkg-deb -x "$package" "$dir.new/root"; done
  rm "$dir.new"/*.deb
  cat >"$dir.new/haproxy" <<'SCRIPT'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-linux-gnu) exec "$root/usr/sbin/haproxy" "$@"
SCRIPT
  chmod +x "$dir.new/haproxy"
fi
mv "$dir.new" "$dir"
"$dir/haproxy" -v >/dev/null 2>&1 || die "haproxy does not run on this machine"
