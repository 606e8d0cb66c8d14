#!/usr/bin/env bash
# Builds the program and lays out the image's root file system: rootfs.sh PROFILE FOLDER, with Cargo's profile `release`
# or `dev`. Needs a Rust toolchain, a C compiler, python3, and Debian's C library of version 2.34 or newer.
#
# ZOOGATE_REVISION is what `zoogate version` tells.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

profile=$1 root=$2
here=deploy/container
auditable=0.7.7
tools=$PWD/target/tools

die() {
  printf 'rootfs.sh: %s\n' "$*" >&2
  exit 1
}

# It writes the list of crates into the program, where scanners look for it.
cargo_auditable() {
  if ! grep -qs "^\"cargo-auditable $auditable " "$tools/.crates.toml"; then
    echo "installing cargo-auditable into target/tools, once" >&2
    cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" --version $auditable \
      cargo-auditable
    rm -rf "$tools/build"
  fi
  PATH=$tools/bin:$PATH cargo auditable "$@"
}

# Paths of the building machine don't belong in a published program. Not so in a developer's build, which shares what is
# compiled already.
forget_paths() {
  local cargo=${CARGO_HOME:-$HOME/.cargo}
  # Flags are parted at spaces, by Cargo and by compilers.
  [[ $PWD$cargo != *[[:space:]]* ]] || die "a release can't be built in a folder with spaces in its path: $PWD, $cargo"
  export RUSTFLAGS="--remap-path-prefix=$PWD=/zoogate --remap-path-prefix=$cargo=/cargo"
  export CFLAGS="-ffile-prefix-map=$PWD=/zoogate -ffile-prefix-map=$cargo=/cargo"
}

# Whatever the environment says: an old program must not get into an image.
export CARGO_TARGET_DIR=$PWD/target
built=$PWD/target/debug/zoogate
if [ "$profile" = release ]; then
  forget_paths
  built=$PWD/target/image/release/zoogate
  export CARGO_TARGET_DIR=$PWD/target/image
fi
cargo_auditable build --locked --quiet --bin zoogate --profile "$profile"

rm -rf "$root"
install -D -m 755 "$built" "$root/usr/bin/zoogate"
# Names of functions stay, for they make a panic's trace readable.
strip --strip-debug "$root/usr/bin/zoogate"

# ── the C library ────────────────────────────────────────────────────────────────────────────────────────────────────
# The one that the program was linked against. It looks names up by itself, in files and in the DNS: since 2.34 without
# further libraries.
read -r _ libc_version <<<"$(getconf GNU_LIBC_VERSION)"
printf '2.34\n%s\n' "$libc_version" | sort --version-sort --check=quiet || die "the C library is older than 2.34"
libraries=$(ldd "$built" | grep -o '/[^ ]*')
for library in $libraries; do
  install -D -m 755 "$(realpath "$library")" "$root$library"
done

# Scanners look for packages here, as in other images without a package manager.
mkdir -p "$root/var/lib/dpkg/status.d"
for library in $libraries; do
  # With /lib being /usr/lib, either name may be the one that dpkg knows.
  dpkg-query --search "$library" 2>/dev/null || dpkg-query --search "/usr$library"
done | cut -d: -f1 | sort -u | while read -r package; do
  dpkg-query --status "$package" | grep -E '^(Package|Status|Maintainer|Architecture|Source|Version|Description):' \
    >"$root/var/lib/dpkg/status.d/$package"
  install -D -m 644 "$(realpath "/usr/share/doc/$package/copyright")" "$root/usr/share/doc/$package/copyright"
done

# ── users, names, places ─────────────────────────────────────────────────────────────────────────────────────────────
mkdir -p "$root/etc/zoogate"
echo 'zoogate:x:65532:65532:zoogate:/:/nonexistent' >"$root/etc/passwd"
echo 'zoogate:x:65532:' >"$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
install -D -m 644 LICENSE "$root/usr/share/doc/zoogate/copyright"
find "$root" -type f -not -perm /111 -exec chmod 644 {} +
find "$root" -type d -exec chmod 755 {} +
bill=$root/usr/share/doc/zoogate/sbom.cdx.json
python3 $here/sbom.py "$root" >"$bill"
chmod 644 "$bill"
