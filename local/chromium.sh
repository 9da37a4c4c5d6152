#!/bin/sh
# Makes sure that the browser tests have Debian's Chromium; says how to get it where it may not install it.
set -eu
if command -v chromium >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "== Chromium (once)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-color-emoji >/dev/null
    exit 0
fi
message="Chromium is missing, so browser tests are skipped. Get it with: sudo apt-get install chromium"
if [ -n "${CI:-}" ]; then
    echo "$message (in CI that is an error)" >&2
    exit 1
fi
echo "$message"
