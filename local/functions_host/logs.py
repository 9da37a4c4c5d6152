"""Local stack, Functions host: one log on standard error, for the host and for the app it runs."""

import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

LEVELS = ("Trace", "Debug", "Information", "Warning", "Error", "Critical", "None")
# Approval links and keys are credentials: whoever reads the log must not be able to use them.
SECRETS = (
    (re.compile(r"(/approvals/)[^\s?\"']+"), r"\1[redacted]"),
    (re.compile(r"([?&]code=)[^\s&\"']+", re.IGNORECASE), r"\1[redacted]"),
)
# What the engine says of its own life is of no use to the app's developer below this level.
DEFAULT_LEVELS = {"Worker": "Warning", "Function": "Information", "Host": "Information"}


class HostLog:
    """Writes lines `time level category [function invocation] message`, filtered by host.json's logLevel."""

    def __init__(self, levels: Mapping[str, str]) -> None:
        self._levels = DEFAULT_LEVELS | dict(levels)

    def write(self, level: str, category: str, message: str, *, scope: str = "") -> None:
        if LEVELS.index(level) < LEVELS.index(self._limit(category)):
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = f"{time} {level:<11} {category}{f' [{scope}]' if scope else ''} "
        # A continuation is indented: every line that starts at the margin is a record of its own.
        print(head + message.rstrip().replace("\n", "\n    "), file=sys.stderr, flush=True)

    def info(self, category: str, message: str) -> None:
        self.write("Information", category, message)

    def problem(self, category: str, message: str) -> None:
        self.write("Error", category, message)

    def _limit(self, category: str) -> str:
        matching = [name for name in self._levels if category == name or category.startswith(name + ".")]
        name = max(matching, key=len, default="default")
        return self._levels.get(name, "Information").capitalize()


def redact(text: str) -> str:
    """The text without approval tokens and function keys."""
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text)
    return text


def quiet_libraries() -> None:
    """The SDKs' own warnings repeat on every reconnect what the host already says once."""
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("azure.servicebus").setLevel(logging.CRITICAL)
    logging.getLogger("azure.storage").setLevel(logging.CRITICAL)
