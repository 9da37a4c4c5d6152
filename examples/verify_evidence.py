"""Checks a release's evidence.json offline, years later, with nothing but Python (3.9 or newer).

    python verify_evidence.py SHA256 evidence.json [manifest.json registry.json production.json ...]

SHA256 is the number from the release's last mail. The further files are the documents that the bundle names: the
manifest, the gates' frozen evidence, and what the gates showed earlier if somebody decided on that, as
`GET /api/releases/{id}/evidence.json?part=...` gives them out. A part is `manifest`, a gate's name, or a SHA-256.
Exit code 0: all of it was given, and every byte is as it was. 1: something is not, and what. 2: nothing was checked, for
instance because a file cannot be read. 3: what was given is as it was, and something that decisions rest on was not given;
this names it.
"""

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

VERIFIED, ALTERED, USAGE, INCOMPLETE = range(4)


def problems(said: dict[str, Any], others: dict[str, bytes]) -> list[str]:
    """What is not as it was when the release ended; empty: nothing."""
    return [*unbound_decisions(said), *unknown_files(said, others)]


def unbound_decisions(said: dict[str, Any]) -> list[str]:
    """Decisions on evidence that their gate never showed."""
    found = []
    for gate in said["gates"]:
        shown = {one["sha256"] for one in (gate["evidence"], *gate["earlier_evidence"])}
        found += [
            f"{gate['gate']}: {vote['by']} decided on {vote['evidence_sha256']}, which the gate never showed"
            for vote in gate["decisions"]
            if vote["evidence_sha256"] not in shown
        ]
    return found


def unknown_files(said: dict[str, Any], others: dict[str, bytes]) -> list[str]:
    """Files whose content the bundle does not name."""
    named = {said["manifest"]["sha256"], said["previous_bundle_sha256"]}
    for gate in said["gates"]:
        named |= {one["sha256"] for one in (gate["evidence"], *gate["earlier_evidence"])}
    for circuit in said["circuits"]:
        named |= {one["sha256"] for one in circuit["predictions"]}
    return [
        f"{name} has SHA-256 {digest}, which the bundle does not name: it was changed, or is of another release"
        for name, content in others.items()
        if (digest := sha256(content)) not in named
    ]


def needed(said: dict[str, Any]) -> dict[str, str]:
    """SHA-256 -> what decisions rest on: the manifest, each gate's evidence, and earlier evidence that somebody voted on."""
    documents = {said["manifest"]["sha256"]: "the manifest (part=manifest)"}
    for gate in said["gates"]:
        for vote in gate["decisions"]:
            digest = vote["evidence_sha256"]
            documents[digest] = f"what {vote['by']} saw at {gate['gate']} (part={digest})"
        documents[gate["evidence"]["sha256"]] = f"the evidence of {gate['gate']} (part={gate['gate']})"
    return documents


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) < 2 or not re.fullmatch(r"[0-9a-fA-F]{64}", arguments[0]):
        print(__doc__)
        return USAGE
    expected, name, *others = arguments
    try:
        bundle, files = Path(name).read_bytes(), {other: Path(other).read_bytes() for other in others}
    except OSError as error:
        print(f"NOTHING WAS CHECKED: {error.filename} cannot be read: {error.strerror}")
        return USAGE
    if sha256(bundle) != expected.lower():
        print(
            f"NOT AS IT WAS: {name} has SHA-256 {sha256(bundle)}, expected {expected}: not the file the mail speaks of"
        )
        return ALTERED
    said = json.loads(bundle)
    found = problems(said, files)
    for problem in found:
        print(f"NOT AS IT WAS: {problem}")
    if found:
        return ALTERED
    return told(name, needed(said), {sha256(content) for content in files.values()})


def told(name: str, documents: dict[str, str], given: set[str]) -> int:
    """What was checked, and what was not."""
    missing = {digest: what for digest, what in documents.items() if digest not in given}
    for digest, what in missing.items():
        print(f"NOT CHECKED: {what}, SHA-256 {digest}: it was not given")
    checked = len(documents) - len(missing)
    if missing:
        total = f"{checked} of the {len(documents)} documents that decisions rest on were given"
        print(f"Incomplete: {name} is as it was when the release ended, and {total}.")
        return INCOMPLETE
    print(
        f"Verified: {name} and the {checked} documents that decisions rest on are as they were when the release ended."
    )
    return VERIFIED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
