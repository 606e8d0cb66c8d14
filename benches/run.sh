#!/bin/sh
# Measures what zoogate costs beside a bare TLS relay and HAProxy; arguments go on to the measuring program
# (benches/README.md).
set -eu
. "$(dirname "$0")/prepare.sh"

# 5,000 idle sessions have 10,000 ends here.
ulimit -n 16384 2>/dev/null || say "few open files are allowed ($(ulimit -n)): lower --idle"

pin_relays
# shellcheck disable=SC2086 # a command and its arguments, or nothing
LD_LIBRARY_PATH=$libraries exec $pin "$measure" run ${pin:+--cpu 1} "$@"
