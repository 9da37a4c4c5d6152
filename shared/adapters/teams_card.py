"""Adapter: a letter as an Adaptive Card 1.4 in the envelope that a Workflows webhook takes."""

import json
from collections.abc import Iterator, Sequence

from shared.application.evidence import attention
from shared.application.ports import Letter
from shared.application.summary import next_action, outcome
from shared.domain.model import UNSUCCESSFUL, CircuitPhase, CircuitRun, Moment
from shared.domain.naming import timestamp

MOST_BYTES = 24 * 1024
"""Teams refuses messages above about 28 KB."""
MOST_CIRCUITS = 10
MOST_TEXT = 300

type Json = dict[str, object]

TITLES = {
    Moment.GATE_OPENED: "Approval wanted: release {id}",
    Moment.GATE_REMINDER: "Reminder, approval wanted: release {id}",
    Moment.GATE_EXPIRED: "Gate expired: release {id}",
    Moment.RELEASE_SUCCEEDED: "✅ Release {id} is live in Production",
    Moment.RELEASE_FAILED: "❌ Release {id} failed",
    Moment.RELEASE_ENDED: "Release {id}: {phase}",
    Moment.ROLLBACK_ENDED: "Rollback {phase}: {id}",
    Moment.DRIFT_FOUND: "❌ Changed outside the pipeline: {count} in Production",
    Moment.ARTIFACT_INVALID: "❌ Artifact refused: {path}",
}
ASKING = frozenset({Moment.GATE_OPENED, Moment.GATE_REMINDER})


def card_message(letter: Letter) -> Json:
    """At most 24 KB; a card never carries a personal link, for everybody in the channel sees it."""
    message = _envelope(letter, _circuits(letter))
    if len(json.dumps(message, ensure_ascii=False).encode()) > MOST_BYTES:
        message = _envelope(letter, [_text(f"{len(letter.runs)} circuits: see the page.")])
    return message


def _envelope(letter: Letter, circuits: Sequence[Json]) -> Json:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            _text(_title(letter), size="Large", weight="Bolder"),
            {"type": "FactSet", "facts": list(_facts(letter))},
            *circuits,
            *([_text("Your personal link is in your mail.", isSubtle=True)] if _asks(letter) else []),
        ],
        "actions": [{"type": "Action.OpenUrl", "title": "Open the release", "url": letter.view_url}],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _title(letter: Letter) -> str:
    release = letter.release
    phase = str(release.phase).replace("_", " ")
    return TITLES[letter.notice.moment].format(
        id=release.release_id, phase=phase, path=release.artifact_path, count=release.total
    )


def _asks(letter: Letter) -> bool:
    return letter.notice.moment in ASKING


def _facts(letter: Letter) -> Iterator[Json]:
    release = letter.release
    yield _fact("Build ID", release.build_id)
    yield _fact("Requested by", release.requested_by or "unknown")
    yield _fact("Circuits", str(release.total))
    if _asks(letter):
        deadline = max((gate.expires_at for gate in letter.gates), default=None)
        yield _fact("Answer by", timestamp(deadline) if deadline else "unknown")
    if release.reason:
        yield _fact("Reason", release.reason)
    if release.is_terminal:
        yield _fact("Next", next_action(release, letter.runs))


def _circuits(letter: Letter) -> list[Json]:
    """One line per circuit, bad ones first; beyond ten those in trouble, and the rest as a number."""
    runs = sorted(letter.runs, key=lambda run: (run.phase not in UNSUCCESSFUL, not attention(run), run.circuit))
    hidden = len(runs) - MOST_CIRCUITS
    lines = [_text(_line(run, letter), spacing="Small") for run in runs[:MOST_CIRCUITS]]
    return [*lines, *([_text(f"and {hidden} more circuits", isSubtle=True)] if hidden > 0 else [])]


def _line(run: CircuitRun, letter: Letter) -> str:
    if run.phase in UNSUCCESSFUL:
        return f"✗ {run.circuit}: {run.phase}, {run.error}"
    if _asks(letter):
        found = attention(run)
        return (
            f"▲ {run.circuit}: {'; '.join(found)}" if found else f"✓ {run.circuit}: {run.model_name}, {run.cutoff_date}"
        )
    if run.phase is CircuitPhase.LIVE:
        return f"✓ {run.circuit} → {run.model_name}"
    return f"– {run.circuit}: {outcome(run, letter.release)}"


def _fact(title: str, value: str) -> Json:
    return {"title": title, "value": plain(value)}


def _text(text: str, **more: object) -> Json:
    return {"type": "TextBlock", "text": plain(text), "wrap": True, **more}


def plain(text: str) -> str:
    """Cards read Markdown: a link in an artifact's field must not become one in the channel."""
    one_line = " ".join(text.split()).replace("](", "] (")
    return one_line if len(one_line) <= MOST_TEXT else f"{one_line[: MOST_TEXT - 1]}…"
