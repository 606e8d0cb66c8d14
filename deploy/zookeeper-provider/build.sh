#!/usr/bin/env bash
# Builds target/zoogate-zookeeper-provider.jar. Needs a JDK of 9 or newer and Maven, which fetches ZooKeeper's jars once;
# arguments are handed to Maven (--offline, for one).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=$PWD/target/zookeeper-provider
jar=$PWD/target/zoogate-zookeeper-provider.jar

# Classes of sources that are gone must not stay in the jar.
rm -rf "$build"
mvn --quiet --batch-mode -f deploy/zookeeper-provider/pom.xml "$@" compiler:compile jar:jar
# In one step, so that a server that starts meanwhile finds the old jar or the new one.
cp "$build/zoogate-zookeeper-provider.jar" "$jar.new"
mv "$jar.new" "$jar"
echo "${jar#"$PWD"/}"
