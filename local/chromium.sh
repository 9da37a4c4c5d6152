#!/bin/sh
# Makes sure that the browser tests have Debian's Chromium. Where it can't be installed, it says that they are skipped and how
# to get it, and is content; in CI (CI=1) that is an error.
set -eu
packages="chromium fonts-noto-color-emoji"

without() {
    message="$1, so the browser tests are skipped. Get it with: $2"
    if [ -n "${CI:-}" ]; then
        echo "$message (in CI that is an error)" >&2
        exit 1
    fi
    echo "$message"
    exit 0
}

if command -v chromium >/dev/null 2>&1; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    without "Chromium is missing" "your system's package manager (the program must be called chromium)"
fi
if [ "$(id -u)" != 0 ]; then
    without "Chromium is missing" "sudo apt-get install $packages"
fi
echo "== Chromium (once)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# One after the other: with `set -e` alone, a mirror that is out of reach would end everything that comes after this.
if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } >"$log" 2>&1; then
    tail -n 3 "$log" >&2
    without "Chromium could not be installed (is there a network?)" "apt-get update && apt-get install $packages"
fi
