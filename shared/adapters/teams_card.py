"""Adapter: a letter as an Adaptive Card 1.4 in the envelope that a Workflows webhook takes."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from shared.application.answers import ASKING, SAID, answer_told, answers, going, how_many, letter_gate
from shared.application.evidence import attention
from shared.application.findings import own_error, told_once
from shared.application.gate_texts import GATE_TITLES
from shared.application.next_action import next_action
from shared.application.ports import Letter
from shared.application.rollback_told import rollback_name
from shared.application.summary import outcome
from shared.domain.model import (
    NEUTRAL,
    UNSUCCESSFUL,
    Circuit,
    CircuitPhase,
    CircuitRun,
    Gate,
    Moment,
    ProcessKind,
    Release,
)
from shared.domain.requester import requester_told

MOST_BYTES = 24 * 1024
"""Teams refuses messages above about 28 KB."""
MOST_CIRCUITS = 10
MOST_TEXT = 300

type Json = dict[str, object]

TITLES = {
    Moment.GATE_OPENED: "{gate} wanted: release {id}",
    Moment.GATE_REMINDER: "Reminder, {gate} wanted: release {id}",
    Moment.GATE_DECIDED: "{gate} {state}: release {id}",
    Moment.GATE_EXPIRED: "{gate} expired: release {id}",
    Moment.GATE_OUT_OF_REACH: "❌ Too few can approve {gate}: release {id}",
    Moment.RELEASE_SUCCEEDED: "✅ Release {id} is live in Production",
    Moment.RELEASE_FAILED: "❌ Release {id} failed",
    Moment.RELEASE_ENDED: "Release {id}: {phase}",
    Moment.ROLLBACK_ENDED: "{rollback} {phase}: {id}",
    Moment.CHECK_FAILED: "❌ Smoke test failed after a rollback: {id}",
    Moment.WAY_BACK_STALLED: "❌ Production may be in between: {id} does not go on",
    Moment.DRIFT_FOUND: "❌ Changed outside the pipeline: {count} in Production",
    Moment.ARTIFACT_INVALID: "❌ Artifact refused: {path}",
}
PAGES = {
    ProcessKind.RELEASE: "release",
    ProcessKind.ROLLBACK: "rollback",
    ProcessKind.CHECK: "rollback",
    ProcessKind.DRIFT: "report",
}
"""Where the button of a card leads."""
SPECIAL = re.compile(r"\](?=[(:\[])|<(?=\S)|\{(?=\{)")
"""Where `[text](address)`, `[text][name]`, `[name]: address`, `<address>` and `{{…}}` begin to mean something."""


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
            *([_text(_way(letter), isSubtle=True)] if _asks(letter) else []),
        ],
        "actions": [_action(letter)],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _action(letter: Letter) -> Json:
    gate = _sign_in_url(letter)
    return {
        "type": "Action.OpenUrl",
        "title": "Sign in and decide" if gate else f"Open the {PAGES[letter.release.kind]}",
        "url": gate or letter.view_url,
    }


def _sign_in_url(letter: Letter) -> str:
    """The gate's page, where it asks for sign-in; a link that a code belongs to is somebody's own."""
    return letter.link.url if letter.link and not letter.link.code else ""


def _way(letter: Letter) -> str:
    if _sign_in_url(letter):
        return "The page asks you to sign in; the role ReleaseApprover decides."
    return "Your personal link is in your mail."


def _title(letter: Letter) -> str:
    release, gate = letter.release, letter_gate(letter)
    return TITLES[letter.notice.moment].format(
        id=release.release_id,
        phase=str(release.phase).replace("_", " "),
        path=release.artifact_path,
        rollback=rollback_name(release),
        count=release.total,
        gate=GATE_TITLES[gate.gate] if gate else "Approval",
        state=gate.state if gate else "decided",
    )


def _asks(letter: Letter) -> bool:
    return letter.notice.moment in ASKING


def _facts(letter: Letter) -> Iterator[Json]:
    release, gate = letter.release, letter_gate(letter)
    if _asks(letter):
        asked = going(letter)
        yield _fact("To look at", f"{sum(1 for run in asked if attention(run))} of {len(asked)} circuits")
        yield _fact("Answer by", _moment(gate.expires_at) if gate else "unknown")
    if release.kind is ProcessKind.RELEASE:
        yield _fact("Build ID", release.build_id)
    if release.kind is not ProcessKind.DRIFT:
        yield _fact("Requested by", requester_told(release))
    if not _asks(letter):
        yield _fact("Circuits", how_many(letter))
    if letter.notice.moment is Moment.GATE_DECIDED and gate:
        yield from _decision(gate, release)
    elif told := [answer_told(gate, vote) for gate, vote in answers(letter)]:
        yield _fact("Decided", "; ".join(told))
    if letter.notice.moment is Moment.GATE_OUT_OF_REACH:
        yield _fact("Reason", letter.out_of_reach)
        yield _fact("Next", letter.way_out)
        return
    if release.reason and letter.notice.moment is not Moment.GATE_DECIDED:
        yield _fact("Reason", release.reason)
    stalled = letter.notice.moment is Moment.WAY_BACK_STALLED
    if stalled or (release.is_terminal and letter.notice.moment is not Moment.RELEASE_SUCCEEDED):
        yield _fact("Next", next_action(release, letter.runs))


def _decision(gate: Gate, release: Release) -> Iterator[Json]:
    for vote in gate.counting:
        said = f"{SAID.get(vote.decision, vote.decision)} by {vote.by}, {_moment(vote.at)}"
        yield _fact("Decided", f"{said}: {vote.comment}" if vote.comment else said)
    if release.exclusions:
        yield _fact("Left out", "; ".join(f"{name}: {why}" for name, why in sorted(release.exclusions.items())))


def _moment(at: datetime) -> str:
    utc = at.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def _circuits(letter: Letter) -> list[Json]:
    """One line per circuit, bad ones first; beyond ten those in trouble, and the rest as a number."""
    if letter.notice.moment in {Moment.GATE_DECIDED, Moment.GATE_OUT_OF_REACH}:
        return []
    told = letter.release.warnings if letter.release.kind is ProcessKind.DRIFT else _lines(letter)
    lines = [_text(line, spacing="Small") for line in told[:MOST_CIRCUITS]]
    hidden = len(told) - MOST_CIRCUITS
    return [*lines, *([_text(f"and {hidden} more circuits", isSubtle=True)] if hidden > 0 else [])]


def _lines(letter: Letter) -> Sequence[str]:
    shared = told_once(letter.runs)

    def worst_first(run: CircuitRun) -> tuple[bool, bool, bool, Circuit]:
        unasked = _asks(letter) and run.phase in NEUTRAL
        return run.phase not in UNSUCCESSFUL, unasked, _asks(letter) and not attention(run), run.circuit

    return [_line(run, letter, shared) for run in sorted(letter.runs, key=worst_first)]


def _line(run: CircuitRun, letter: Letter, shared: Sequence[str]) -> str:
    if run.phase in UNSUCCESSFUL:
        return f"✗ {run.circuit}: {run.phase}, {own_error(run, shared)}"
    if _asks(letter) and run.phase not in NEUTRAL:
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
    """Cards read Markdown, and `{{DATE(…)}}`: nothing in an artifact's field becomes a link, a tag or a date."""
    one_line = SPECIAL.sub(r"\g<0> ", " ".join(text.split()))
    return one_line if len(one_line) <= MOST_TEXT else f"{one_line[: MOST_TEXT - 1]}…"
