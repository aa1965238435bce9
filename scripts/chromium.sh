#!/usr/bin/env bash
# A browser for the tests: prints the variable that names it; root installs Debian's package when
# there is none.
set -euo pipefail

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

if ! browser > /dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends chromium fonts-dejavu-core >&2
fi

echo "export AGENTKIT_TEST_CHROMIUM=$(browser)"
