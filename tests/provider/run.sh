#!/usr/bin/env bash
# The provider jar on real servers of every line that it is for. Arguments go to unittest: `run.sh -k 3_9_5_netty`.
#
# ZOOKEEPER_VERSIONS="3.4.14 3.9.5" runs fewer. The servers run in a network namespace of their own where
# this is possible: only there is an address at hand that is this machine's and not loopback.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=tests/provider
out=$PWD/target/provider-tests
export ZOOKEEPER_VERSIONS=${ZOOKEEPER_VERSIONS:-3.4.14 3.5.10 3.6.4 3.7.2 3.8.6 3.9.5}
export ZOOGATE_PROVIDER_JAR=$PWD/target/zoogate-zookeeper-provider.jar
export ZOOGATE_PROVIDER_TESTS=$out
# The sources stay as they are.
export PYTHONDONTWRITEBYTECODE=1

[ "${1-}" = --inside ] || {
  deploy/zookeeper-provider/build.sh >/dev/null
  for version in $ZOOKEEPER_VERSIONS; do
    [ -s "$out/cp/$version.txt" ] || {
      mkdir -p "$out/cp"
      mvn --quiet --batch-mode -f $here/zookeeper.pom.xml "-Dzookeeper.version=$version" dependency:build-classpath \
        "-Dmdep.outputFile=$out/cp/$version.txt"
    }
  done
  namespace=(unshare --net)
  [ "$(id -u)" = 0 ] || namespace=(unshare --map-root-user --net)
  if "${namespace[@]}" ip address add 192.0.2.1/32 dev lo 2>/dev/null; then
    exec "${namespace[@]}" $here/run.sh --inside "$@"
  fi
  echo "run.sh: no network namespace can be made here: the tests of remote peers are skipped" >&2
  exec python3 -m unittest discover --start-directory $here --pattern '*_test.py' "$@"
}

shift
ip link set lo up
ip address add 192.0.2.1/32 dev lo
export ZOOGATE_REMOTE_ADDRESS=192.0.2.1
exec python3 -m unittest discover --start-directory $here --pattern '*_test.py' "$@"
