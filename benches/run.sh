#!/bin/sh
# Measures what zoogate costs beside a bare TLS relay and HAProxy; arguments go on to the measuring program
# (benches/README.md).
set -eu
. "$(dirname "$0")/prepare.sh"

# 5,000 idle sessions have 10,000 ends here.
ulimit -n 16384 2>/dev/null || say "few open files are allowed ($(ulimit -n)): lower --idle"

# With two CPUs or more, relays get one for themselves; elsewhere the scheduler decides.
pin=
if [ -z "${BENCH_NO_PINNING:-}" ] && [ "$(nproc)" -gt 1 ] && command -v taskset >/dev/null; then pin="taskset -c 0"; fi
LD_LIBRARY_PATH=$libraries exec $pin "$measure" run ${pin:+--cpu 1} "$@"
