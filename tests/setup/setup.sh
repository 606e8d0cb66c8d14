#!/usr/bin/env bash
# Prepares what the tests (`setup.sh test`), the tests on every line of ZooKeeper (`setup.sh matrix`) or the demo
# (`setup.sh demo`) need, into target/.
#
# Safe to run again: what is there already is left alone, and then this takes less than a second. Only missing
# Debian packages are installed, by apt-get, with sudo when not root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=tests/setup
purpose=${1:-test}
# The oldest line, one in the middle, and the newest two.
test_versions=(3.4.14 3.5.10 3.6.4 3.8.6 3.9.5)
matrix_versions=(3.4.14 3.5.10 3.6.4 3.7.2 3.8.6 3.9.5)
started=$SECONDS

say() { printf '\033[1msetup:\033[0m %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# ── Debian packages ──────────────────────────────────────────────────────────────────────────────────────────────

have() { command -v "$1" >/dev/null 2>&1; }

# A JDK of 17 or newer: `javac -version` prints "javac 17.0.15".
have_jdk() {
  local major
  have javac && have java && have keytool || return 1
  major=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
  [ "${major:-0}" -ge 17 ]
}

have_venv() { have python3 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

missing_packages() {
  have cc || echo gcc libc6-dev
  have openssl || echo openssl
  have curl || echo curl
  have_jdk || echo default-jdk-headless
  have mvn || echo maven
  have_venv || echo python3 python3-venv
  if [ "$purpose" != demo ]; then
    [ -e /usr/include/openssl/ssl.h ] || echo libssl-dev
    have ssh-keygen || echo openssh-client
    have strace || echo strace
    have systemd-analyze && have systemd-socket-activate || echo systemd
  fi
}

# Installs what the words of its arguments name, if they name anything.
install_packages() {
  local packages sudo=()
  read -ra packages <<<"${*//$'\n'/ }"
  [ "${#packages[@]}" -gt 0 ] || return 0
  have apt-get || die "these are missing, and there is no apt-get to install them with: ${packages[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || die "not root and no sudo; please install by hand: ${packages[*]}"
    sudo=(sudo)
  fi
  say "installing Debian packages: ${packages[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq \
    || die "apt-get update failed; see its message above"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" \
    >/dev/null || die "apt-get could not install ${packages[*]}; see its message above"
  have_jdk || die "Java 17 or newer is needed; this machine's packages give $(javac -version 2>&1)"
}

# What the page for people is looked at with: 124 MB to fetch, so neither the demo nor the matrix asks for it.
browser() {
  have chromium || [ -x "${CHROMIUM:-}" ] || install_packages chromium
}

# ── ZooKeeper, from Maven Central ────────────────────────────────────────────────────────────────────────────────

# True if the class path file is there, newer than the pom, and none of its jars has gone.
class_path_is_good() {
  local file=$1 jar
  [ -s "$file" ] && [ ! "$here/zookeeper.pom.xml" -nt "$file" ] || return 1
  while IFS= read -r -d : jar; do [ -e "$jar" ] || return 1; done <<<"$(<"$file"):"
}

fetch_zookeepers() {
  local version
  for version in "$@"; do fetch_zookeeper "$version"; done
}

fetch_zookeeper() {
  local version=$1 dir=$PWD/target/zookeeper/$1
  class_path_is_good "$dir/cp.txt" && return
  say "fetching ZooKeeper $version from Maven Central (about 7 MiB)"
  mkdir -p "$dir"
  mvn --quiet --batch-mode -f "$here/zookeeper.pom.xml" "-Dzookeeper.version=$version" \
    dependency:build-classpath "-Dmdep.outputFile=$dir/cp.new" >"$dir/mvn.log" 2>&1 \
    || die "Maven could not get ZooKeeper $version: $(tail -n 5 "$dir/mvn.log")"
  mv "$dir/cp.new" "$dir/cp.txt"
}

# The jar that ZooKeeper loads, unless it is newer than all that it is made of.
provider_jar() {
  local jar=target/zoogate-zookeeper-provider.jar
  [ -e "$jar" ] && [ -z "$(find deploy/zookeeper-provider -newer "$jar" -type f)" ] && return
  say "building ZooKeeper's provider of x509 ids"
  deploy/zookeeper-provider/build.sh >/dev/null || die "the provider can't be built; see the message above"
}

fetch_curator() {
  local dir=$PWD/target/curator
  [ "$here/curator.pom.xml" -ot "$dir/cp.txt" ] && class_path_is_good "$dir/cp.txt" && return
  say "fetching Curator from Maven Central (about 10 MiB)"
  mkdir -p "$dir"
  mvn --quiet --batch-mode -f "$here/curator.pom.xml" dependency:build-classpath "-Dmdep.outputFile=$dir/cp.new" \
    >"$dir/mvn.log" 2>&1 || die "Maven could not get Curator: $(tail -n 5 "$dir/mvn.log")"
  mv "$dir/cp.new" "$dir/cp.txt"
}

# Bouncy Castle's provider, with which keytool reads the stores of it.
bouncy_castle() {
  local dir=$PWD/target/bouncycastle
  [ -s "$dir/bcprov.jar" ] && return
  say "fetching Bouncy Castle from Maven Central (about 9 MiB)"
  mkdir -p "$dir"
  mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:copy \
    -Dartifact=org.bouncycastle:bcprov-jdk18on:1.82 "-DoutputDirectory=$dir" -Dmdep.stripVersion=true \
    >"$dir/mvn.log" 2>&1 || die "Maven could not get Bouncy Castle: $(tail -n 5 "$dir/mvn.log")"
  mv "$dir/bcprov-jdk18on.jar" "$dir/bcprov.jar"
}

# ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────

python_client() {
  local stamp=target/venv/installed.txt
  cmp -s "$here/requirements.txt" "$stamp" && target/venv/bin/python -c 'import kazoo' 2>/dev/null && return
  say "making a Python environment with kazoo in target/venv"
  rm -rf target/venv
  python3 -m venv target/venv || die "python3 -m venv failed; see its message above"
  target/venv/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 -r "$here/requirements.txt" \
    || die "pip could not install $here/requirements.txt; see its message above"
  cp "$here/requirements.txt" "$stamp"
}

java_client() {
  local source=tests/clients/java classes=target/clients/java
  [ -e "$classes" ] && [ -z "$(find "$source" -newer "$classes" -type f)" ] && return
  say "compiling the Java clients"
  rm -rf "$classes" "$classes.new"
  mkdir -p "$classes.new"
  # Against 3.8, so that one set of classes runs on both versions' jars.
  javac -Xlint:all,-classfile,-options -Werror --release 17 -proc:none -cp "$(<target/zookeeper/3.8.6/cp.txt)" -d "$classes.new" "$source"/org/apache/zookeeper/*.java \
    || die "the Java clients do not compile"
  mv "$classes.new" "$classes"
}

curator_client() {
  local source=tests/clients/java/CuratorClient.java classes=target/clients/curator
  [ "$classes/CuratorClient.class" -nt "$source" ] && return
  say "compiling the Curator client"
  mkdir -p "$classes"
  javac -Xlint:all,-classfile,-options -Werror --release 17 -proc:none -cp "$(<target/curator/cp.txt)" -d "$classes" "$source" \
    || die "the Curator client does not compile"
}

# ── Prometheus ───────────────────────────────────────────────────────────────────────────────────────────────────

# Prints the path of a Debian package, fetched into the directory $1. It is to be unpacked and not installed: it would
# start a service, and bring what nobody here needs.
debian_package() {
  local dir=$1 package=$2 sudo=()
  have apt-get && have dpkg-deb || die "$package is missing; please install it by hand"
  if ! (cd "$dir" && apt-get download -qq "$package" >/dev/null 2>&1); then
    # The lists of packages are old, or there are none.
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq >&2 || die "apt-get update failed; see its message above"
    (cd "$dir" && apt-get download -qq "$package" >/dev/null) \
      || die "apt-get could not fetch $package; see its message above"
  fi
  ls "$dir/${package}_"*.deb
}

# The blackbox_exporter, as target/blackbox/prometheus-blackbox-exporter.
blackbox() {
  local dir=$PWD/target/blackbox program=prometheus-blackbox-exporter deb
  [ -x "$dir/$program" ] && return
  rm -rf "$dir" "$dir.new"
  mkdir -p "$dir.new"
  if have "$program"; then
    ln -s "$(command -v "$program")" "$dir.new/$program"
  else
    say "fetching Debian's $program (about 4 MiB)"
    deb=$(debian_package "$dir.new" "$program")
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir.new" --strip-components=3 "./usr/bin/$program" \
      || die "the package $program has no program of that name"
    rm "$deb"
  fi
  mv "$dir.new" "$dir"
}

# Its two programs in target/prometheus/.
prometheus() {
  local dir=$PWD/target/prometheus program deb
  [ -x "$dir/promtool" ] && [ -x "$dir/prometheus" ] && return
  rm -rf "$dir" "$dir.new"
  mkdir -p "$dir.new/deb"
  if have promtool && have prometheus; then
    for program in promtool prometheus; do ln -s "$(command -v "$program")" "$dir.new/$program"; done
  else
    say "fetching Debian's prometheus (about 20 MiB)"
    deb=$(debian_package "$dir.new/deb" prometheus)
    dpkg-deb --fsys-tarfile "$deb" \
      | tar -x -C "$dir.new" --strip-components=3 ./usr/bin/promtool ./usr/bin/prometheus \
      || die "the package prometheus has no promtool or no prometheus"
  fi
  rm -rf "$dir.new/deb"
  "$dir.new/promtool" --version >/dev/null 2>&1 || die "promtool does not run on this machine"
  mv "$dir.new" "$dir"
}

# ── main ─────────────────────────────────────────────────────────────────────────────────────────────────────────

case "$purpose" in
  test | matrix)
    install_packages "$(missing_packages)"
    [ "$purpose" = matrix ] || browser
    fetch_zookeepers "${test_versions[@]}"
    [ "$purpose" = test ] || fetch_zookeepers "${matrix_versions[@]}"
    provider_jar
    python_client
    java_client
    fetch_curator
    curator_client
    bouncy_castle
    "$here/c_client.sh"
    "$here/haproxy.sh"
    prometheus
    blackbox
    ;;
  demo)
    install_packages "$(missing_packages)"
    fetch_zookeeper 3.9.5
    python_client
    ;;
  *) die "usage: setup.sh test|matrix|demo" ;;
esac
say "ready for the $purpose ($((SECONDS - started)) s)"
