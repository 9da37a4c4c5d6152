"""Use cases: commands as JSON on the wire, and the ids that are derived from them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, assert_never

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from shared.application.ports import Sendable
from shared.domain.commands import (
    FanOut,
    LookForDrift,
    NoteLedger,
    Prune,
    ReadArtifact,
    RefreshGate,
    RunStep,
    SendNotice,
    StepKind,
)
from shared.domain.errors import PermanentError
from shared.domain.model import Circuit, CircuitPhase, GateName, Round

VERSION = 1
LONGEST_ID = 128
"""Documented limit of a Service Bus message id."""
HASH_CHARACTERS = 40
LONGEST_QUOTE = 60

FAN_OUT = "fan-out"
NOTIFY = "notify"
READ_ARTIFACT = "read-artifact"
PRUNE = "prune"
LOOK_FOR_DRIFT = "look-for-drift"
REFRESH_GATE = "refresh-gate"
NOTE_LEDGER = "note-ledger"

# Phases and rounds that are not listed work in production.
STAGES: Mapping[CircuitPhase | Round, str] = {
    CircuitPhase.INSPECTING: "registry",
    CircuitPhase.PROMOTING: "registry",
    CircuitPhase.DEPLOYING_TEST: "test",
    CircuitPhase.QUEUED: "test",
    CircuitPhase.SMOKE_TESTING: "test",
    CircuitPhase.ACTIVATING_TEST: "test",
    Round.INSPECTION: "registry",
    Round.PROMOTION: "registry",
    Round.TEST: "test",
    Round.CHECK: "test",
}


def stage(place: CircuitPhase | Round) -> str:
    """Registry, test or production: where the work of a phase or round is done."""
    return STAGES.get(place, "production")


# ------------------------------------------------------------------------------------------- to the wire


def kind_of(command: Sendable) -> str:
    match command:
        case RunStep():
            return command.kind
        case FanOut():
            return FAN_OUT
        case SendNotice():
            return NOTIFY
        case ReadArtifact():
            return READ_ARTIFACT
        case Prune():
            return PRUNE
        case LookForDrift():
            return LOOK_FOR_DRIFT
        case RefreshGate():
            return REFRESH_GATE
        case NoteLedger():
            return NOTE_LEDGER
        case _:
            assert_never(command)


def to_json(command: Sendable) -> str:
    """One line of JSON; `delay` is no part of it, it says when the line is sent."""
    fields = {"v": VERSION, "kind": kind_of(command), **_fields(command), "redrive": command.redrive}
    counts = {"postponed": command.postponed, "revived": command.revived}
    return json.dumps(fields | {name: n for name, n in counts.items() if n}, separators=(",", ":"))


def _fields(command: Sendable) -> dict[str, object]:
    match command:
        case RunStep():
            return {
                "release_id": command.release_id,
                "gen": command.gen,
                "stage": stage(command.phase),
                "plant_id": command.circuit.plant_id,
                "circuit_id": command.circuit.circuit_id,
                "phase": command.phase,
                "n": command.n,
            }
        case FanOut():
            return {
                "release_id": command.release_id,
                "gen": command.gen,
                "stage": stage(command.round),
                "round": int(command.round),
                "cursor": command.cursor,
            }
        case SendNotice():
            return {"release_id": command.release_id, "row_key": command.row_key, "n": command.n}
        case ReadArtifact():
            return {"path": command.path}
        case Prune():
            return {"release_id": command.release_id, "cursor": command.cursor}
        case LookForDrift():
            return {"n": command.n, "cursor": command.cursor}
        case RefreshGate():
            return {
                "release_id": command.release_id,
                "gate": command.gate,
                "n": command.n,
                "cursor": command.cursor,
                **({"outdated": command.outdated} if command.outdated else {}),
            }
        case NoteLedger():
            return {"release_id": command.release_id, "gen": command.gen, "cursor": command.cursor}
        case _:
            assert_never(command)


def message_id(command: Sendable) -> str:
    """The same for the same work, another for every look (`n`) and every deliberate re-send (`redrive`)."""
    parts: tuple[object, ...]
    match command:
        case RunStep(release_id=release, circuit=c, gen=gen):
            parts = (release, gen, stage(command.phase), c.plant_id, c.circuit_id, command.phase, command.n)
        case FanOut(release_id=release, gen=gen):
            parts = (release, gen, stage(command.round), FAN_OUT, int(command.round), command.cursor)
        case SendNotice(release_id=release):
            parts = (release, NOTIFY, command.row_key, command.n)
        case ReadArtifact():
            parts = (READ_ARTIFACT, command.path)
        case Prune(release_id=release):
            parts = (release, PRUNE, command.cursor)
        case LookForDrift():
            parts = (LOOK_FOR_DRIFT, command.n, command.cursor)
        case RefreshGate(release_id=release):
            parts = (release, REFRESH_GATE, command.gate, command.n, command.cursor)
            parts = (*parts, command.outdated) if command.outdated else parts
        case NoteLedger(release_id=release, gen=gen):
            parts = (release, gen, NOTE_LEDGER, command.cursor)
        case _:
            assert_never(command)
    return _short("|".join(map(str, (*parts, f"r{command.redrive}"))))


def _short(text: str) -> str:
    if len(text) <= LONGEST_ID:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]
    return f"{text[: LONGEST_ID - HASH_CHARACTERS - 1]}#{digest}"


# ----------------------------------------------------------------------------------------- from the wire

Count = Annotated[StrictInt, Field(ge=0)]
Generation = Annotated[StrictInt, Field(ge=1)]
Path = Annotated[StrictStr, Field(min_length=1, max_length=2_000)]
Key = Annotated[StrictStr, Field(min_length=1, max_length=512)]
"""What a table takes for one: 1 KiB of UTF-16."""
Cursor = Annotated[StrictStr, Field(max_length=512)]


class _Message(BaseModel):
    """Strict about what it needs, indifferent to what a newer sender adds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    redrive: Count = 0
    postponed: Count = 0
    revived: Count = 0


class _StepMessage(_Message):
    release_id: Key
    gen: Generation
    kind: StepKind
    plant_id: Key
    circuit_id: Key
    phase: CircuitPhase
    n: Count

    def command(self) -> RunStep:
        return RunStep(
            release_id=self.release_id,
            circuit=Circuit(plant_id=self.plant_id, circuit_id=self.circuit_id),
            gen=self.gen,
            kind=self.kind,
            phase=self.phase,
            n=self.n,
        )


class _FanOutMessage(_Message):
    release_id: Key
    gen: Generation
    round: Annotated[StrictInt, Field(ge=Round.INSPECTION, le=max(Round))]
    cursor: Cursor

    def command(self) -> FanOut:
        return FanOut(
            release_id=self.release_id,
            gen=self.gen,
            round=Round(self.round),
            cursor=self.cursor,
        )


class _NoticeMessage(_Message):
    release_id: Key
    row_key: Key
    n: Count

    def command(self) -> SendNotice:
        return SendNotice(release_id=self.release_id, row_key=self.row_key, n=self.n)


class _ArtifactMessage(_Message):
    path: Path

    def command(self) -> ReadArtifact:
        return ReadArtifact(path=self.path)


class _PruneMessage(_Message):
    release_id: Key
    cursor: Cursor

    def command(self) -> Prune:
        return Prune(release_id=self.release_id, cursor=self.cursor)


class _DriftMessage(_Message):
    n: Count
    cursor: Cursor

    def command(self) -> LookForDrift:
        return LookForDrift(n=self.n, cursor=self.cursor)


class _RefreshMessage(_Message):
    release_id: Key
    gate: GateName
    n: Count
    cursor: Cursor
    outdated: Cursor = ""

    def command(self) -> RefreshGate:
        return RefreshGate(
            release_id=self.release_id, gate=self.gate, n=self.n, cursor=self.cursor, outdated=self.outdated
        )


class _NoteMessage(_Message):
    release_id: Key
    gen: Generation
    cursor: Cursor

    def command(self) -> NoteLedger:
        return NoteLedger(release_id=self.release_id, gen=self.gen, cursor=self.cursor)


type _AnyMessage = (
    _StepMessage
    | _FanOutMessage
    | _NoticeMessage
    | _ArtifactMessage
    | _PruneMessage
    | _DriftMessage
    | _RefreshMessage
    | _NoteMessage
)

_KINDS: Mapping[str, type[_AnyMessage]] = {
    **dict.fromkeys(StepKind, _StepMessage),
    FAN_OUT: _FanOutMessage,
    NOTIFY: _NoticeMessage,
    READ_ARTIFACT: _ArtifactMessage,
    PRUNE: _PruneMessage,
    LOOK_FOR_DRIFT: _DriftMessage,
    REFRESH_GATE: _RefreshMessage,
    NOTE_LEDGER: _NoteMessage,
}


def parse_message(body: str | bytes) -> Sendable:
    """The command a message carries, due now.

    Raises:
        PermanentError: it is none, or of a version this app does not speak; says which field is wrong.
    """
    fields = _object(body)
    if fields.get("v") != VERSION or fields["v"] is True:
        raise PermanentError(f"message: v is {_quoted(fields.get('v'))}, this app speaks version {VERSION}")
    kind = fields.get("kind")
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise PermanentError(f"message: kind is {_quoted(kind)}, known are {', '.join(_KINDS)}")
    try:
        read = model.model_validate(fields)
    except ValidationError as error:
        raise PermanentError(f"message of kind {kind}: {_said(error)}") from error
    return replace(read.command(), redrive=read.redrive, postponed=read.postponed, revived=read.revived)


def _object(body: str | bytes) -> dict[str, object]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PermanentError(f"message: not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise PermanentError("message: not a JSON object")
    return fields


def _quoted(value: object) -> str:
    """Whoever finds a message wants to know what stood there, not all of 200 KB."""
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"


def _said(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
