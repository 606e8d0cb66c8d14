#!/usr/bin/env bash
# Makes target/zookeeper-image.tar, the ZooKeeper of the tests on a cluster: `zookeeper:3.9.5`, from Debian's packages (a
# shell, the C library, a Java runtime) and Maven's (ZooKeeper). Needs apt-get, a JDK and Maven; takes half a minute.
#
#   zookeeper-image.sh [--if-missing]
#
# IMAGE_NAME names it otherwise, IMAGE_TAR the tarball.
#
# It is used like the image of that name that is published, as far as these tests need it. In the image:
#   /conf/zoo.cfg   one server, on loopback only; mount your own in its place. dataDir must be /data.
#   /data           anyone may write. `myid` is made from ZOO_MY_ID, or is the number in the pod's name (zk-0 is 1).
#   zkCli.sh        the client; CLIENT_JVMFLAGS has its settings. zkServer.sh [start-foreground] [CONFIG] is what runs; JVMFLAGS has its settings.
# It runs as 1000:1000 and writes to /data alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=3.9.5
out=${IMAGE_TAR:-$PWD/target/zookeeper-image.tar}
work=$PWD/target/image/zookeeper
root=$work/root

[ "${1-}" != --if-missing ] || [ ! "$out" -nt "${BASH_SOURCE[0]}" ] || exit 0
rm -rf "$work"
mkdir -p "$work/debs" "$root"/{conf,data,tmp,etc,usr/local/bin,opt/zookeeper/lib}

# ── Debian: a shell and what Java needs ──────────────────────────────────────────────────────────────────────────────
packages=(libc6 libgcc-s1 libstdc++6 zlib1g dash bash libtinfo6 coreutils libselinux1 libpcre2-8-0 libacl1 libattr1
  libgmp10 grep sed hostname)
download() { (cd "$work/debs" && apt-get download --quiet "${packages[@]}") >"$work/apt.log" 2>&1; }
# A new machine's lists are empty, or old.
download || { apt-get update -qq && download; } || {
  cat "$work/apt.log" >&2
  echo "zookeeper-image.sh: apt-get can't get these packages" >&2
  exit 1
}
for deb in "$work"/debs/*.deb; do dpkg-deb --extract "$deb" "$root"; done
# Pages for people.
rm -rf "$root"/usr/share/{man,info,locale,lintian,doc-base}
ln -sf dash "$root/bin/sh"
echo 'zookeeper:x:1000:1000:zookeeper:/data:/bin/sh' >"$root/etc/passwd"
echo 'zookeeper:x:1000:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

# ── Java ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
jlink --output "$root/opt/java" --strip-debug --no-header-files --no-man-pages --compress=0 --add-modules \
  java.base,java.logging,java.management,java.naming,java.security.jgss,java.security.sasl,java.xml,java.desktop,jdk.management,jdk.unsupported,jdk.crypto.ec,jdk.naming.dns,jdk.security.jgss

# ── ZooKeeper ────────────────────────────────────────────────────────────────────────────────────────────────────────
class_path=target/zookeeper/$version/cp.txt
[ -s "$class_path" ] || tests/setup/setup.sh demo
tr ':' '\n' <"$class_path" | xargs -I{} cp {} "$root/opt/zookeeper/lib/"
cat >"$root/conf/zoo.cfg" <<'CONFIG'
tickTime=2000
initLimit=10
syncLimit=5
dataDir=/data
clientPort=2181
clientPortAddress=127.0.0.1
admin.enableServer=false
CONFIG
cat >"$root/docker-entrypoint.sh" <<'SCRIPT'
#!/bin/sh
exec "$@"
SCRIPT
cat >"$root/usr/local/bin/zkServer.sh" <<'SCRIPT'
#!/bin/sh
set -eu
# As Apache's script is called; in the foreground it is always.
[ "${1-}" != start-foreground ] || shift
if [ ! -e /data/myid ]; then
  name=$(hostname)
  number=${name##*-}
  case $number in '' | *[!0-9]*) number=0 ;; esac
  echo "${ZOO_MY_ID:-$((number + 1))}" >/data/myid
fi
# shellcheck disable=SC2086  # flags are words
exec /opt/java/bin/java ${SERVER_JVMFLAGS:-${JVMFLAGS:--Xmx128m}} -cp '/opt/zookeeper/lib/*' \
  -Dzookeeper.jmx.log4j.disable=true org.apache.zookeeper.server.quorum.QuorumPeerMain "${1:-/conf/zoo.cfg}"
SCRIPT
cat >"$root/usr/local/bin/zkCli.sh" <<'SCRIPT'
#!/bin/sh
# shellcheck disable=SC2086  # flags are words
exec /opt/java/bin/java -Xmx64m ${CLIENT_JVMFLAGS-} -cp '/opt/zookeeper/lib/*' org.apache.zookeeper.ZooKeeperMain "$@"
SCRIPT
chmod 755 "$root"/usr/local/bin/* "$root/docker-entrypoint.sh"
chmod 1777 "$root/data" "$root/tmp"

cat >"$work/Dockerfile" <<'DOCKERFILE'
FROM scratch
ENV PATH=/usr/local/bin:/usr/bin:/bin:/opt/java/bin
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["zkServer.sh", "start-foreground"]
DOCKERFILE
python3 deploy/container/oci.py "$root" "$work/Dockerfile" "${IMAGE_NAME:-zookeeper:$version}" "$out"
rm -rf "$work/debs"
