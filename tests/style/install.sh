#!/usr/bin/env -S bash -p
# Installs what checks the style in /opt/style, beside the environment: for scripts/test.sh style, whose image runs
# this, and for whoever wants it in the dev container.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
python3 -m venv /opt/style
/opt/style/bin/pip install --quiet --no-cache-dir --no-deps --only-binary :all: --require-hashes --requirement requirements.txt
