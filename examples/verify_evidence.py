"""Checks a release's evidence.json offline, years later, with nothing but Python.

    python verify_evidence.py SHA256 evidence.json [manifest.json registry.json production.json ...]

SHA256 is the number from the release's last mail. The further files are the documents that the bundle names: the
manifest and the gates' frozen evidence, as `GET /api/releases/{id}/evidence.json?part=...` gives them out.
Exit code 0: every byte is as it was. 1: something is not, and what.
"""

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any


def problems(expected: str, bundle: bytes, others: dict[str, bytes]) -> list[str]:
    """Everything that is not as it was when the release ended; empty: nothing."""
    digest = hashlib.sha256(bundle).hexdigest()
    if digest != expected.strip().lower():
        return [f"evidence.json has SHA-256 {digest}, expected {expected}: it is not the file the mail speaks of"]
    said: dict[str, Any] = json.loads(bundle)
    return [*unbound_decisions(said), *unknown_files(said, others)]


def unbound_decisions(said: dict[str, Any]) -> list[str]:
    """Decisions on evidence that their gate never showed."""
    found = []
    for gate in said["gates"]:
        shown = {gate["evidence"]["sha256"], *gate["earlier_sha256"]}
        found += [
            f"{gate['gate']}: {vote['by']} decided on {vote['evidence_sha256']}, which the gate never showed"
            for vote in gate["decisions"]
            if vote["evidence_sha256"] not in shown
        ]
    return found


def unknown_files(said: dict[str, Any], others: dict[str, bytes]) -> list[str]:
    """Files whose content the bundle does not name."""
    named = {said["manifest"]["sha256"]}
    for gate in said["gates"]:
        named |= {gate["evidence"]["sha256"], *gate["earlier_sha256"]}
    return [
        f"{name} has SHA-256 {digest}, which the bundle does not name: it was changed, or is of another release"
        for name, content in others.items()
        if (digest := hashlib.sha256(content).hexdigest()) not in named
    ]


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) < 2 or not re.fullmatch(r"[0-9a-fA-F]{64}", arguments[0]):
        print(__doc__)
        return 2
    expected, bundle, *others = arguments
    files = {name: Path(name).read_bytes() for name in others}
    found = problems(expected, Path(bundle).read_bytes(), files)
    for problem in found:
        print(f"NOT AS IT WAS: {problem}")
    if not found:
        print(f"Verified: {bundle} and {len(files)} documents it names are as they were when the release ended.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
