#!/usr/bin/env bash
# A ZooKeeper without TLS, zoogate in front of it, and two applications with certificates: alice and bob.
#
# Everything runs on loopback and lives in target/demo, and ends with Ctrl-C. DEMO_ONCE=1 ends by itself.
# `make demo` calls this with all that it needs set up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

repository=$PWD
demo=$PWD/target/demo
zoogate=${ZOOGATE:-$PWD/target/debug/zoogate}
python=$PWD/target/venv/bin/python
class_path=$(<target/zookeeper/3.9.5/cp.txt)
zookeeper_pid='' zoogate_pid=''

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# Runs what follows, having shown it as one would type it at the top of the repository.
show() {
  local shown="$*"
  printf '\033[2m$ %s\033[0m\n' "${shown//$repository\//}"
  "$@"
}
die() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

# Both servers run in sessions of their own (setsid), so that Ctrl-C reaches this script alone: for zoogate it would be a
# first signal, and the one that is sent here a second, which means at once.
#
# Ends what this script started, and nothing else: zoogate first, so that it can end its connections in good order.
clean_up() {
  local status=$?
  trap '' INT TERM
  trap - EXIT
  if [ -n "$zoogate_pid" ]; then
    printf '\ndemo: stopping; who is connected is let go within seconds\n'
    kill "$zoogate_pid" 2>/dev/null || true
    wait "$zoogate_pid" || { [ "$status" -ne 0 ] || status=1; echo "demo: zoogate did not end well" >&2; }
  fi
  if [ -n "$zookeeper_pid" ]; then
    kill "$zookeeper_pid" 2>/dev/null || true
    wait "$zookeeper_pid" 2>/dev/null || true
  fi
  printf '\ndemo: stopped; the logs stay in target/demo\n'
  exit "$status"
}

free_ports() {
  "$python" - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))
PYTHON
}

# certificate NAME SUBJECT EXTENSIONS: NAME.key, NAME.crt (signed by the CA), NAME.pem (both)
certificate() {
  local name=$1 subject=$2 extensions=$3
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" \
    -keyout "$name.key" -out "$name.csr" 2>/dev/null
  openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 7 -out "$name.crt" \
    -extfile <(printf '%s\n' "$extensions") 2>/dev/null
  cat "$name.key" "$name.crt" >"$name.pem"
}

certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj "/O=Demo/CN=Demo CA" \
    -keyout ca.key -out ca.crt 2>/dev/null
  certificate server "/O=Demo/CN=localhost" $'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth'
  certificate alice "/C=US/O=Demo/CN=alice" "extendedKeyUsage=clientAuth"
  certificate bob "/C=US/O=Demo/CN=bob" "extendedKeyUsage=clientAuth"
}

# Prints the answer of the four-letter word `srvr`, spoken in plaintext to ZooKeeper itself.
srvr() {
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf srvr >&3
  cat <&3
  exec 3>&-
}

# until_true SECONDS PID LOG COMMAND…: waits for the command to succeed while the process lives
until_true() {
  local deadline=$((SECONDS + $1)) pid=$2 log=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || die "it ended at once: $(tail -n 20 "$log")"
    [ "$SECONDS" -lt "$deadline" ] || die "it is not ready: $(tail -n 20 "$log")"
    sleep 0.1
  done
}

serves() { srvr "$1" | grep -q '^Mode:'; }

start_zookeeper() {
  cat >zoo.cfg <<CONFIG
tickTime=2000
dataDir=$demo/data
clientPort=$zookeeper_port
clientPortAddress=127.0.0.1
admin.enableServer=false
CONFIG
  setsid java -Xmx256m -cp "$class_path" org.apache.zookeeper.server.quorum.QuorumPeerMain zoo.cfg >zookeeper.log 2>&1 &
  zookeeper_pid=$!
  until_true 30 "$zookeeper_pid" zookeeper.log serves "$zookeeper_port"
}

start_zoogate() {
  # shellcheck disable=SC2094  # one is a verb, the other a file
  (umask 077 && "$zoogate" secret >secret)
  cat >zoogate.yaml <<CONFIG
listen:
  address: 127.0.0.1:$gate_port
upstream:
  address: 127.0.0.1:$zookeeper_port
tls:
  key_store: { path: server.crt, key_path: server.key }
  trust_store: { path: ca.crt }
identity:
  from: subject
  inject: digest
  secret_file: secret
admin:
  address: 127.0.0.1:$admin_port
limits:
  connections: 100
shutdown:
  grace: 3s
CONFIG
  show "$zoogate" check --config "$demo/zoogate.yaml"
  setsid "$zoogate" run --config "$demo/zoogate.yaml" >zoogate.log 2>&1 &
  zoogate_pid=$!
  until_true 30 "$zoogate_pid" zoogate.log curl -fsS "http://127.0.0.1:$admin_port/readyz"
}

# target/demo/zkcli NAME [COMMAND…] is zkCli.sh with NAME's certificate.
write_zkcli() {
  cat >zkcli <<SCRIPT
#!/bin/sh
# zkCli.sh through zoogate: zkcli alice|bob [command]
who=\$1
shift
exec java -Dorg.slf4j.simpleLogger.defaultLogLevel=error \\
  -Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty -Dzookeeper.client.secure=true \\
  -Dzookeeper.ssl.keyStore.location=$demo/\$who.pem -Dzookeeper.ssl.trustStore.location=$demo/ca.crt \\
  -Dzookeeper.ssl.trustStore.type=PEM -cp '$class_path' \\
  org.apache.zookeeper.ZooKeeperMain -waitforconnection -server 127.0.0.1:$gate_port "\$@"
SCRIPT
  chmod +x zkcli
}

# Fails unless the output of a step says what it must.
expect() {
  local wanted=$1 output
  shift
  output=$(show "$@")
  printf '%s\n' "$output"
  grep -qF -- "$wanted" <<<"$output" || die "\"$wanted\" should be in the output above"
}

[ -x "$zoogate" ] || die "$zoogate is not there; \`make demo\` builds it"
rm -rf "$demo"
mkdir -p "$demo"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
read -r zookeeper_port gate_port admin_port <<<"$(free_ports 3)"
cd "$demo"
client=("$python" "$repository/deploy/demo/client.py" "127.0.0.1:$gate_port" "$demo")

title "1. A ZooKeeper 3.9 as it comes: plaintext, on loopback (port $zookeeper_port)"
start_zookeeper
srvr "$zookeeper_port" | grep -E '^(Zookeeper version|Mode)'

title "2. zoogate in front of it: mutual TLS (port $gate_port), health and metrics (port $admin_port)"
certificates
start_zoogate
write_zkcli
show curl -sS "http://127.0.0.1:$admin_port/readyz"

title "3. alice creates a znode for whoever she is. She gave no password; her certificate speaks for her."
expect "its ACL: digest:x509/CN=alice" "${client[@]}" alice create /demo

title "4. That is the identity of her certificate, as zoogate prints it for ACLs:"
expect "digest:x509/CN=alice" "$zoogate" identity --config "$demo/zoogate.yaml" "$demo/alice.crt"

title "5. ZooKeeper knows her by it (zkCli.sh whoami, the Java client):"
expect "x509/CN=alice" "$demo/zkcli" alice whoami

title "6. bob has a certificate of the same CA, but he is not alice:"
expect "denied" "${client[@]}" bob read /demo
expect "only for alice" "${client[@]}" alice read /demo

title "7. What zoogate counted and logged:"
curl -sS "http://127.0.0.1:$admin_port/metrics" >metrics.txt
grep -E '^zoogate_' metrics.txt | grep -vE '_bucket|[^0-9]0$' | grep -E 'connection|handshake|injection' || true
tail -n 1 zoogate.log

[ -z "${DEMO_ONCE:-}" ] || exit 0

title "Now look for yourself (everything is in target/demo):"
cat <<TEXT
  target/demo/zkcli alice                               # zkCli.sh as alice; then: getAcl /demo
  target/demo/zkcli bob get /demo                       # Insufficient permission
  http://127.0.0.1:$admin_port/ in a browser
  curl http://127.0.0.1:$admin_port/status
  curl http://127.0.0.1:$admin_port/metrics
  tail -f target/demo/zoogate.log                       # one record for each connection
  target/debug/zoogate explain --config target/demo/zoogate.yaml target/demo/bob.crt

  With a zkCli.sh of your own (3.9):
  CLIENT_JVMFLAGS="-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty \\
    -Dzookeeper.client.secure=true -Dzookeeper.ssl.keyStore.location=$demo/alice.pem \\
    -Dzookeeper.ssl.trustStore.location=$demo/ca.crt -Dzookeeper.ssl.trustStore.type=PEM" \\
    zkCli.sh -server 127.0.0.1:$gate_port

  Ctrl-C ends zoogate and ZooKeeper.
TEXT
trap 'exit 0' INT TERM
wait "$zoogate_pid" || die "zoogate ended: $(tail -n 20 zoogate.log)"
