#!/bin/sh
# Measures what strangers and bad clients cost zoogate and its other clients, and writes the table into
# docs/reliability.md; arguments go on to the measuring program (benches/README.md).
set -eu
. "$(dirname "$0")/prepare.sh"

# 9,000 attackers at once, and at most 8,000 of them with a connection of the gate's to the server.
ulimit -n 20000 2>/dev/null || say "few open files are allowed ($(ulimit -n)): not all attackers will be there"

pin_relays
# shellcheck disable=SC2086 # a command and its arguments, or nothing
LD_LIBRARY_PATH=$libraries exec $pin "$measure" hostile ${pin:+--cpu 1} --page docs/reliability.md "$@"
