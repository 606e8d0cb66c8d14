#!/usr/bin/env bash
# Tests the chart without a cluster: helm's own engine, Kubernetes' schemas, and `zoogate check` on what was rendered.
# Needs python3, openssl and keytool (`make setup`), and target/debug/zoogate. `UPDATE=1` rewrites what is generated.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=target/helm-venv
if ! cmp -s tests/helm/requirements.txt "$venv/installed.txt"; then
  echo "making a Python environment with Helm's engine in $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r tests/helm/requirements.txt
  # The wheel has the same library three times, 85 MB each.
  for library in "$venv"/lib/python3*/site-packages/helm_python/lib/libhelm_c.so.*; do
    ln -f "$(dirname "$library")/libhelm_c.so" "$library"
  done
  cp tests/helm/requirements.txt "$venv/installed.txt"
fi
[ -x target/debug/zoogate ] || cargo build --locked --bin zoogate
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" -m unittest discover --start-directory tests/helm --pattern '*_test.py' "$@"
