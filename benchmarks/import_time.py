"""How long `function_app` takes to import, as a ratio to the SDK clients it can't do without.

Every approval click at a cold start pays this. Floor and app are timed in turn, in processes of their own; CPU time
is compared, because it hardly depends on what else the machine does. Goal: at most 1.3.

    python benchmarks/import_time.py
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 7
GOAL = 1.3
FLOOR = (
    "import azure.functions, azure.data.tables, azure.storage.blob, azure.servicebus, azure.identity, azure.communication.email, "
    "pydantic_settings, jinja2, itsdangerous, werkzeug.formparser"
)
APP = "import function_app, sys; assert 'azure.ai.ml' not in sys.modules"


def cpu_seconds(code: str) -> float:
    """User and system time of one interpreter that runs the code."""
    before = os.times()
    subprocess.run(  # noqa: S603  # our own two lines
        [sys.executable, "-c", code],
        check=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "APPROVAL_MODE": "link", "ALLOW_LINK_APPROVALS": "true"},
    )
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def main() -> int:
    """Print both medians and their ratio; 1 if the goal is missed."""
    cpu_seconds(FLOOR)
    cpu_seconds(APP)
    started = time.monotonic()
    pairs = [(cpu_seconds(FLOOR), cpu_seconds(APP)) for _ in range(ROUNDS)]
    ratio = statistics.median(app / floor for floor, app in pairs)
    print(f"SDK clients alone   {statistics.median(floor for floor, _ in pairs):.2f} s CPU")
    print(f"function_app        {statistics.median(app for _, app in pairs):.2f} s CPU")
    print(
        f"ratio, pair by pair {ratio:.2f} (goal: at most {GOAL}); {time.monotonic() - started:.0f} s for {ROUNDS} rounds"
    )
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
