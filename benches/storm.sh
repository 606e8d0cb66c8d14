#!/bin/sh
# Measures how sessions live through a reconnect storm behind zoogate, a bare TLS relay and HAProxy, and writes the table
# into docs/reliability.md; arguments go on to the measuring program (benches/README.md).
set -eu
. "$(dirname "$0")/prepare.sh"

# A gate with 8,000 sessions has 16,000 connections, and those that clients have given up.
ulimit -n 20000 2>/dev/null || say "few open files are allowed ($(ulimit -n)): a gate can't have all sessions of 8,000"

LD_LIBRARY_PATH=$libraries exec "$measure" storm --page docs/reliability.md "$@"
