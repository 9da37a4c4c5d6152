"""Messages that the app can't handle: every kind, broken in every way, and noise."""

import json
from collections.abc import Iterator

from shared.application.messages import kind_of, to_json
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
)
from shared.domain.model import CircuitRun, GateName, Round
from shared.domain.process import STEP_OF

LONG = 200_000
WRONG: tuple[object, ...] = (None, True, -1, 1.5, 10**30, "", "x" * LONG, "\ud800", "a/b\\c#?", [], {}, [["x"]])
NOISE = (
    b"",
    b"\x00" * LONG,
    b"\xff\xfe" * LONG,
    b"x" * LONG,
    b"[" * LONG,
    b'{"v":' * LONG,
    b"null",
    b"[]",
    b"{}",
    b'{"v":1}',
    b'{"v":2,"kind":"deploy"}',
    b'{"v":"1","kind":"deploy"}',
    json.dumps({"v": "x" * LONG}).encode(),
    json.dumps({"v": 1, "kind": "x" * LONG}).encode(),
    json.dumps({"v": 1, "kind": ["deploy"]}).encode(),
)


def one_of_each(run: CircuitRun) -> tuple[Sendable, ...]:
    """A message of every kind, as this app writes them, about one circuit that has work."""
    release_id = run.release_id
    return (
        RunStep(
            release_id=release_id,
            circuit=run.circuit,
            gen=run.gen,
            kind=STEP_OF[run.phase],
            phase=run.phase,
            n=run.poll_n,
        ),
        FanOut(release_id=release_id, gen=run.gen, round=Round.INSPECTION, cursor="c|A|1"),
        SendNotice(release_id=release_id, row_key="n|gate_opened|email|nobody@example.com", n=0),
        ReadArtifact(path="somewhere/changed_circuits.json"),
        Prune(release_id=release_id),
        LookForDrift(n=1),
        RefreshGate(release_id=release_id, gate=GateName.REGISTRY, n=1),
        NoteLedger(release_id=release_id, gen=run.gen),
    )


def kinds(run: CircuitRun) -> dict[str, Sendable]:
    """By the name a message of that kind carries."""
    return {kind_of(command): command for command in one_of_each(run)}


def noise() -> Iterator[tuple[str, bytes]]:
    """What each one is, and its body."""
    yield from ((f"noise {number}: {body[:20]!r}", body) for number, body in enumerate(NOISE))


def broken(command: Sendable) -> Iterator[tuple[str, bytes]]:
    """Every way in which a message of this kind can be wrong: what it is, and its body."""
    whole = json.loads(to_json(command))
    for field in whole:
        yield f"without {field}", _body({name: value for name, value in whole.items() if name != field})
        yield from ((f"{field} is {str(wrong)[:10]!r}", _body({**whole, field: wrong})) for wrong in WRONG)
    yield "of a newer version", _body({**whole, "v": 2})
    yield "of another generation", _body({**whole, "gen": 99, "n": 99, "cursor": "c|Z|9"})
    yield "of a release that nobody knows", _body({**whole, "release_id": "20200101.1", "path": "x"})


def _body(fields: object) -> bytes:
    return json.dumps(fields).encode()
