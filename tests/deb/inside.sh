#!/bin/bash
# What is tested in the container, as root: the package, and every command of docs/install-systemd.md.
set -Eeuo pipefail
shopt -s inherit_errexit
export DEBIAN_FRONTEND=noninteractive HOME=/root LC_ALL=C.UTF-8

step() { printf '── %s (%d s)\n' "$*" "$SECONDS"; }
die() {
  printf 'FAILED: %s\n' "$*"
  journalctl --no-pager -n 12 -u 'zoogate*' | cut -c1-300
  exit 1
}
trap 'die "line $LINENO: $BASH_COMMAND"' ERR
expect() { # what, text, pattern
  [[ $2 == *$3* ]] || die "$1: \`$3\` is not in: $2"
}
eventually() { # command...
  local _
  for _ in $(seq 100); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  die "in vain: $*"
}
page() { # heading: the commands below it, up to the next heading
  awk -v want="## $1" '/^## / { on = ($0 == want) } on && /^```/ { code = ($0 == "```sh"); next } on && code' \
    /share/install-systemd.md
}
follow() { # heading: runs its commands as a person would
  step "the page: $1"
  page "$1" >/tmp/commands
  [ -s /tmp/commands ] || die "no commands"
  bash -euo pipefail /tmp/commands >/tmp/output 2>&1 || die "$(tail -n 20 /tmp/output)"
}
active() { [ "$(systemctl is-active "$@" | sort -u)" = active ]; }
status_has() { systemctl show -p StatusText --value "${2-zoogate}" | grep -qF "$1"; }
pid() { systemctl show -p MainPID --value zoogate; }
served() { # serial number of the certificate
  openssl s_client -connect localhost:2281 -CAfile /srv/pki/ca.pem </dev/null 2>/dev/null | openssl x509 -noout -serial
}
whoami_by_mtls() { bash /tmp/whoami 2>&1; }
files() { # everything that is no trace of time
  find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /share -o -path /root -o -path /srv/pki \
    -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd \
    -o -path /var/tmp -o -path /var/backups -o -path /etc/zookeeper -o -path /var/lib/zookeeper \) -prune -o -print \
    | grep -vE '^/etc/(passwd|group|g?shadow|sub[ug]id)-?$|^/etc/\.pwd\.lock$' | sort
}
# Connects without a pause until it is told to end, and counts who is refused.
callers() {
  python3 - "$1" <<'P' &
import os, socket, sys, time
calls = refused = 0
while not os.path.exists("/tmp/enough"):
    calls += 1
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30).close()
    except ConnectionRefusedError:
        refused += 1
    time.sleep(0.002)
open("/tmp/called", "w").write(f"{calls} {refused}\n")
P
  caller=$!
}
called() {
  touch /tmp/enough
  wait "$caller"
  rm /tmp/enough
  read -r calls refused </tmp/called
  printf '   %d calls, %d refused\n' "$calls" "$refused"
}

cd /share
files >/tmp/before

follow "1. Install the package"
step "installed, and nothing started"
[ "$(systemctl is-enabled zoogate zoogate.socket zoogate-admin.socket | sort -u)" = disabled ] || die "enabled"
[ "$(systemctl is-active zoogate zoogate.socket zoogate-admin.socket | sort -u)" = inactive ] || die "active"
getent passwd zoogate | grep -q ':/usr/sbin/nologin$' || die "no user"
expect "version" "$(zoogate version)" "zoogate 0."
for file in /usr/share/man/man1/zoogate-run.1.gz /usr/share/bash-completion/completions/zoogate \
  /usr/share/zsh/vendor-completions/_zoogate /usr/share/doc/zoogate/copyright \
  /usr/share/zoogate/prometheus/zoogate.rules.yaml /etc/zoogate/zoogate.yaml; do
  [ -s "$file" ] || die "$file is missing"
done

step "a start without certificates fails and says why"
systemctl start zoogate 2>/dev/null && die "it starts"
systemctl stop zoogate
expect "journal" "$(journalctl -u zoogate)" "tls.key_store"

follow "2. Move ZooKeeper to loopback"
eventually bash -c '</dev/tcp/127.0.0.1/2181'
expect "zoo.cfg" "$(cat /etc/zookeeper/conf/zoo.cfg)" "clientPortAddress=127.0.0.1"
follow "3. Certificates"
follow "4. Configure"
expect "check" "$(cat /tmp/output)" "/etc/zoogate/zoogate.yaml: ok"
grep -q warning /tmp/output && die "check warns: $(cat /tmp/output)"
follow "5. Start"
follow "6. Who am I?"
cp /tmp/commands /tmp/whoami
expect "whoami" "$(cat /tmp/output)" "x509/CN=alice%2CO=Example"

step "confined, without a warning"
[ "$(ps -o user= -p "$(pid)")" = zoogate ] || die "it runs as $(ps -o user= -p "$(pid)")"
expect "process" "$(cat "/proc/$(pid)/status")" "NoNewPrivs:	1"
expect "process" "$(cat "/proc/$(pid)/status")" "Seccomp:	2"
expect "process" "$(cat "/proc/$(pid)/status")" "CapBnd:	0000000000000000"
journalctl -o cat "_SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID --value zoogate)" >/tmp/log
expect "log" "$(cat /tmp/log)" '"message":"serving"'
# A machine may give its containers fewer open files than the unit asks for.
allowed=$(awk '/Max open files/ { print ($5 < 65536) ? $5 : 65536 }' /proc/1/limits)
[ "$(awk '/Max open files/ { print $4 }' "/proc/$(pid)/limits")" -ge "$allowed" ] || die "too few open files"
[ "$allowed" -ge 20100 ] || sed -i '/too few open files for limits.connections/d' /tmp/log
grep -E '"level":"(WARN|ERROR)"' /tmp/log && die "warnings"
expect "metrics" "$(curl -sf http://127.0.0.1:9281/metrics)" "process_start_time_seconds"

step "ZooKeeper goes and comes"
first=$(pid)
systemctl stop zookeeper
eventually status_has "serving; ZooKeeper unreachable"
systemctl restart zoogate
eventually active zoogate
[ "$(pid)" != "$first" ] || die "not restarted"
systemctl start zookeeper

for _ in $(seq 100); do [ "$(systemctl show -p StatusText --value zoogate)" = serving ] && break; sleep 0.2; done
[ "$(systemctl show -p StatusText --value zoogate)" = serving ] || die "$(systemctl show -p StatusText zoogate)"

step "a reload that can't work"
first=$(pid)
cp /etc/zoogate/server.pem /tmp/server.pem
echo nothing >/etc/zoogate/server.pem
systemctl reload zoogate
eventually status_has "serving; reload failing: tls.key_store"
expect "served" "$(served)" "$(openssl x509 -noout -serial -in /tmp/server.pem)"
[ "$(pid)" = "$first" ] || die "restarted"
cp /tmp/server.pem /etc/zoogate/server.pem

step "credentials are copies"
before=$(cat /run/credentials/zoogate.service/zoogate.secret)
zoogate secret >/tmp/secret
install -m 600 /tmp/secret /etc/credstore/zoogate.secret
systemctl reload zoogate
[ "$(cat /run/credentials/zoogate.service/zoogate.secret)" = "$before" ] || die "the page is wrong: a reload renews them"
systemctl restart zoogate
[ "$(cat /run/credentials/zoogate.service/zoogate.secret)" = "$(cat /tmp/secret)" ] || die "a restart does not renew them"

follow "Credentials, and what reloads"
eventually active zoogate
step "a renewed certificate and key are taken by a reload"
first=$(pid)
(cd /srv/pki && openssl req -newkey rsa:2048 -nodes -subj "/O=Example/CN=renewed" -keyout new.key -out new.csr \
  && openssl x509 -req -in new.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile server.ext -out new.pem) 2>/dev/null
install -m 640 -g zoogate /srv/pki/new.key /etc/zoogate/server.key
install -m 644 /srv/pki/new.pem /etc/zoogate/server.pem
systemctl reload zoogate
serves_new() { [ "$(served)" = "$(openssl x509 -noout -serial -in /srv/pki/new.pem)" ]; }
eventually serves_new
[ "$(pid)" = "$first" ] || die "restarted"

step "a restart without the socket unit refuses some"
sed -i 's|^admin:|shutdown: { grace: 1s }\nadmin:|' /etc/zoogate/zoogate.yaml
callers 2281
sleep 0.3
systemctl restart zoogate
called
[ "$refused" -gt 0 ] || die "then what is the socket unit for?"

follow "Sockets that outlive a restart"
step "a restart with the socket unit refuses nobody"
callers 2281
for _ in 1 2 3; do
  sleep 0.3
  first=$(pid)
  systemctl restart zoogate
  [ "$(pid)" != "$first" ] || die "not restarted"
done
systemctl stop zoogate
sleep 0.5
called
[ "$calls" -gt 100 ] && [ "$refused" -eq 0 ] || die "refused"
expect "whoami" "$(whoami_by_mtls)" "x509/CN=alice%2CO=Example"
eventually active zoogate

step "systemd restarts one that does not move"
mkdir -p /run/systemd/system/zoogate.service.d
printf '[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n' >/run/systemd/system/zoogate.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart zoogate
sleep 5
first=$(pid)
[ "$(systemctl show -p NRestarts --value zoogate)" = 0 ] || die "restarted although it moves"
kill -STOP "$first"
moved_on() { [ "$(pid)" != "$first" ] && active zoogate; }
eventually moved_on
expect "journal" "$(journalctl -u zoogate -n 50)" "Watchdog timeout"
rm -r /run/systemd/system/zoogate.service.d
systemctl daemon-reload

follow "Several gates on a host"
eventually curl -sf http://127.0.0.1:9282/readyz

step "an upgrade refuses nobody and keeps what was configured"
first=$(pid)
cp /etc/zoogate/zoogate.yaml /tmp/zoogate.yaml
callers 2281
apt-get install -y ./zoogate_0.1.0-2_amd64.deb >/tmp/output 2>&1 || die "$(tail -n 20 /tmp/output)"
sleep 0.5
called
[ "$calls" -gt 20 ] && [ "$refused" -eq 0 ] || die "refused"
[ "$(pid)" != "$first" ] || die "not restarted"
[ "$(dpkg-query -W -f '${Version}' zoogate)" = 0.1.0-2 ] || die "not upgraded"
[ "$(systemctl is-enabled zoogate zoogate.socket zoogate@two | sort -u)" = enabled ] || die "not enabled any more"
eventually active zoogate zoogate.socket zoogate@two
cmp /etc/zoogate/zoogate.yaml /tmp/zoogate.yaml || die "the configuration was changed"
expect "whoami" "$(whoami_by_mtls)" "x509/CN=alice%2CO=Example"

step "removed"
apt-get remove -y zoogate >/tmp/output 2>&1 || die "$(tail -n 20 /tmp/output)"
[ -e /usr/bin/zoogate ] && die "the program is still there"
pgrep -x zoogate && die "it runs on"
curl -s http://127.0.0.1:9281/livez && die "the port is still held"
[ -e /etc/zoogate/zoogate.yaml ] || die "the configuration is gone"

step "purged, but for what is the administrator's"
apt-get purge -y zoogate >/tmp/output 2>&1 || die "$(tail -n 20 /tmp/output)"
files >/tmp/after
comm -13 /tmp/before /tmp/after | grep -vE '^/etc/credstore|^/etc/systemd/system/zookeeper\.service\.d|^/etc/zoogate$' >/tmp/left || true
expected='/etc/zoogate/clients-ca.pem
/etc/zoogate/server.key
/etc/zoogate/server.pem
/etc/zoogate/two.yaml'
[ "$(cat /tmp/left)" = "$expected" ] || die "left: $(cat /tmp/left)"
getent passwd zoogate >/dev/null || die "the user is gone, and its group's files are not"

step "purged, with nothing of the administrator's"
rm -r /etc/zoogate
apt-get install -y ./zoogate_0.1.0-2_amd64.deb >/tmp/output 2>&1 || die "$(tail -n 20 /tmp/output)"
apt-get purge -y zoogate >/tmp/output 2>&1 || die "$(tail -n 20 /tmp/output)"
files >/tmp/after
comm -13 /tmp/before /tmp/after | grep -vE '^/etc/credstore|^/etc/systemd/system/zookeeper\.service\.d' && die "left"
getent passwd zoogate && die "the user is left"
step "passed"
