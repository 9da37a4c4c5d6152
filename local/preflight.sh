#!/bin/sh
# Says in one line what this machine lacks for the local stack, before anything is installed.
#   preflight.sh python      prints the path of the Python that .python-version asks for
#   preflight.sh tools       Python, Node and npm
#   preflight.sh options     what the demo is told: APPROVALS, SCENARIO, DEMO_MINUTES
#   preflight.sh ports       what the stack is told: APPROVALS, STACK_PORT_BASE; and its ports unless this stack is up
#   preflight.sh free-base   prints a port base that is free now
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
wanted=$(cat "$root/.python-version")
node_wanted=20

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

is_wanted() {
    "$1" -c 'import sys; v = sys.version.split()[0]; sys.exit(not (v + ".").startswith(sys.argv[1] + "."))' \
        "$wanted" >/dev/null 2>&1
}

candidates() {
    echo "$root/.venv/bin/python"
    if command -v pyenv >/dev/null 2>&1; then
        for prefix in "$(pyenv root)/versions/$wanted" "$(pyenv root)/versions/$wanted".*; do
            echo "$prefix/bin/python"
        done
    fi
    for name in "python$wanted" python3 python; do
        command -v "$name" || true
    done
}

find_python() {
    candidates | {
        found=
        while read -r candidate; do
            if [ -z "$found" ] && [ -x "$candidate" ] && is_wanted "$candidate"; then
                found=$candidate
            fi
        done
        echo "$found"
    }
}

need_python() {
    python=$(find_python)
    if [ -z "$python" ]; then
        found=$(python3 --version 2>/dev/null || echo "no python3")
        fail "Python $wanted is missing (found: $found): install it (for example: pyenv install $wanted) and run this again."
    fi
}

need_venv() {
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        fail "$python cannot make virtual environments (no ensurepip): install its venv package (for example: apt install python$wanted-venv)."
}

need_node() {
    command -v node >/dev/null 2>&1 ||
        fail "Node is missing: install Node $node_wanted or newer (https://nodejs.org) and run this again."
    version=$(node --version 2>/dev/null || echo v0)
    major=${version#v}
    major=${major%%.*}
    [ "$major" -ge "$node_wanted" ] 2>/dev/null ||
        fail "Node $node_wanted or newer is needed (found: $version): install it (https://nodejs.org) and run this again."
    command -v npm >/dev/null 2>&1 ||
        fail "npm is missing although Node $version is there: install npm (https://nodejs.org) and run this again."
}

need_approvals() {
    case "${APPROVALS:-}" in
    '' | link | entra) ;;
    *) fail "APPROVALS is '$APPROVALS': give link or entra." ;;
    esac
}

case "${1:-}" in
python)
    need_python
    echo "$python"
    ;;
tools)
    need_python
    need_venv
    need_node
    ;;
options)
    need_approvals
    need_python
    exec "$python" -P "$root/local/demo/options.py"
    ;;
ports)
    need_approvals
    need_python
    exec "$python" -P "$root/local/stack/ports.py" check "--base=${STACK_PORT_BASE:-}" \
        "--lock=${STACK_DIR:-$root/.local}/supervisor.lock"
    ;;
free-base)
    need_python
    exec "$python" -P "$root/local/stack/ports.py" free-base
    ;;
*)
    fail "usage: preflight.sh python|tools|options|ports|free-base"
    ;;
esac
