#!/usr/bin/env bash
# Builds ZooKeeper's C client with TLS, and our test program on it, into target/clients/c.
#
# Debian's libzookeeper-mt is built without OpenSSL (it lacks zookeeper_init_ssl), so the library is compiled here from
# Debian's own source package, whose checksums apt verifies. The package lists for that are kept in target/, and
# the machine's own sources are left as they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
out=$root/target/clients/c
program=tests/clients/c/gate_client.c

say() { printf '\033[1msetup:\033[0m %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

apt_here() {
  apt-get -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$out/apt/sources" \
    -o "Dir::State::Lists=$out/apt/lists" -o "Dir::Cache=$out/apt/cache" -o APT::Sandbox::User= "$@"
}

fetch_source() {
  say "fetching the source of ZooKeeper's C client from Debian (about 4 MB, and package lists of 10 MB)"
  rm -rf "$out/apt" "$out/source"
  mkdir -p "$out/apt/sources" "$out/apt/lists/partial" "$out/apt/cache/archives/partial" "$out/source"
  local list
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    case "$list" in
      *.sources) sed 's/^Types:.*/Types: deb-src/' "$list" >"$out/apt/sources/${list##*/}" ;;
      *.list) [ ! -e "$list" ] || sed -n 's/^deb /deb-src /p' "$list" >"$out/apt/sources/${list##*/}" ;;
    esac
  done
  # Other people's repositories often have no sources, which fails the update but not the next step.
  apt_here update >"$out/apt/update.log" 2>&1 || true
  (cd "$out/apt" && apt_here source --download-only zookeeper) >"$out/apt/source.log" 2>&1 \
    || die "no source package of zookeeper: $(tail -n 3 "$out/apt/update.log" "$out/apt/source.log")"
  tar -xf "$(find "$out/apt" -name 'zookeeper_*.orig.tar.*' ! -name '*.asc')" --strip-components=1 -C "$out/source" \
    --wildcards '*/zookeeper-client-c/*' '*/zookeeper.jute'
  rm -rf "$out/apt"
}

build_library() {
  local client=$out/source/zookeeper-client/zookeeper-client-c generated=$out/generated file
  local jute=$out/source/zookeeper-jute/src/main/resources/zookeeper.jute
  say "compiling ZooKeeper's C client with TLS"
  rm -rf "$generated" "$out/objects"
  mkdir -p "$generated" "$out/objects"
  (cd "$generated" && java -cp "$(<"$root/target/zookeeper/3.9.5/cp.txt")" \
    org.apache.jute.compiler.generated.Rcc -l c "$jute" >/dev/null) || die "jute could not generate the C records"
  echo '#define PACKAGE_STRING "zookeeper C client (tests)"' >"$generated/config.h"
  # FIPS_mode() is gone from OpenSSL 3, and this source still asks for it.
  local defines=('-DFIPS_mode()=0' -D_GNU_SOURCE -DTHREADED -DHAVE_OPENSSL_H -DHAVE_POLL -DHAVE_STRING_H -DHAVE_UNISTD_H
    -DHAVE_SYS_SOCKET_H -DHAVE_SYS_TIME_H -DHAVE_SYS_UTSNAME_H -DHAVE_NETDB_H -DHAVE_NETINET_IN_H
    -DHAVE_ARPA_INET_H -DHAVE_GETCWD -DHAVE_GETHOSTNAME -DHAVE_GETLOGIN -DHAVE_GETUID -DHAVE_GETPWUID_R)
  for file in zookeeper addrvec recordio mt_adaptor zk_log zk_hashtable hashtable/hashtable hashtable/hashtable_itr; do
    cc -w -O1 -g "${defines[@]}" -I"$generated" -I"$client/include" -I"$client/src" -I"$client/src/hashtable" \
      -c "$client/src/$file.c" -o "$out/objects/${file##*/}.o" || die "$file.c does not compile"
  done
  cc -w -O1 -g "${defines[@]}" -I"$generated" -I"$client/include" -c "$generated/zookeeper.jute.c" \
    -o "$out/objects/zookeeper.jute.o" || die "zookeeper.jute.c does not compile"
  ar rcs "$out/libzookeeper_mt.a" "$out"/objects/*.o
}

build_program() {
  local client=$out/source/zookeeper-client/zookeeper-client-c
  say "compiling the C client's test program"
  cc -Wall -Wextra -Werror -O1 -g -DTHREADED -DHAVE_OPENSSL_H -I"$out/generated" -I"$client/include" "$program" \
    "$out/libzookeeper_mt.a" -lssl -lcrypto -lpthread -lm -o "$out/gate_client" || die "$program does not compile"
}

mkdir -p "$out"
[ -e "$out/source/zookeeper-client/zookeeper-client-c/src/zookeeper.c" ] || fetch_source
[ -e "$out/libzookeeper_mt.a" ] || build_library
[ "$out/gate_client" -nt "$program" ] || build_program
