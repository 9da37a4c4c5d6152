"""Commands on the wire: golden JSON, strict reading, derived ids."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared.application.messages import STAGES, message_id, parse_message, stage, to_json
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
from shared.domain.model import CircuitPhase, GateName, Round
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT

GOLDEN = Path(__file__).parents[2] / "data" / "messages"
STEP = RunStep(
    release_id="20251210.1",
    circuit=CIRCUIT,
    gen=2,
    kind=StepKind.SMOKE_TEST,
    phase=CircuitPhase.SMOKE_TESTING,
    n=3,
    redrive=1,
)
FAN_OUT = FanOut(release_id="20251210.1", gen=1, round=Round.STAGING, cursor="c|PLANT001|CIRCUIT02")
NOTICE = SendNotice(release_id="20251210.1", row_key="n|gate_opened:x|email|ann@example.com", n=1, redrive=2)
ARTIFACT = ReadArtifact(path="releases/20251210.1/12345/changed_circuits.json")
PRUNE = Prune(release_id="20251210.1", cursor="c|PLANT001|CIRCUIT02")
REFRESH_GATE = RefreshGate(
    release_id="20251210.1", gate=GateName.PRODUCTION, n=1765357200, cursor="c|PLANT001|CIRCUIT02"
)
NOTE_LEDGER = NoteLedger(release_id="20251210.1", gen=2, cursor="c|PLANT001|CIRCUIT02")
COMMANDS: dict[str, Sendable] = {
    "step": STEP,
    "step_postponed": replace(STEP, redrive=1765357200, postponed=2),
    "fan_out": FAN_OUT,
    "fan_out_revived": replace(FAN_OUT, redrive=1765357200, revived=1),
    "notice": NOTICE,
    "artifact": ARTIFACT,
    "prune": PRUNE,
    "look_for_drift": LookForDrift(n=1765357200, cursor="PLANT001|CIRCUIT02"),
    "refresh_gate": REFRESH_GATE,
    "refresh_gate_outdated": replace(REFRESH_GATE, cursor="", outdated="9f86d081884c7d65"),
    "note_ledger": NOTE_LEDGER,
}


@pytest.mark.parametrize("name", COMMANDS)
def test_messages_look_as_they_always_did(name: str) -> None:
    """Messages of the version before are still in the queues while a new one is rolled out."""
    golden = json.loads((GOLDEN / f"{name}.v1.json").read_text())
    assert json.loads(to_json(COMMANDS[name])) == golden
    assert parse_message(json.dumps(golden)) == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_newer_version_adds_is_ignored(name: str) -> None:
    """Additions need no new version; bytes are read as well as text."""
    golden = json.loads((GOLDEN / f"{name}.v1.json").read_text())
    assert parse_message(json.dumps(golden | {"priority": "high"}).encode()) == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_redrive_may_be_missing(name: str) -> None:
    """It is 0 unless the sweeper raised it."""
    golden = json.loads((GOLDEN / f"{name}.v1.json").read_text())
    del golden["redrive"]
    assert parse_message(json.dumps(golden)) == replace(COMMANDS[name], redrive=0)


@pytest.mark.parametrize("field", ["gen", "n"])
@pytest.mark.parametrize("wrong", [None, "", -1, "1", 1.5, ["x"]])
def test_a_count_that_is_none_is_named(field: str, wrong: object) -> None:
    """Whoever finds the message in the dead-letter queue wants to know."""
    with pytest.raises(PermanentError, match=f"smoke-test: {field}"):
        parse_message(json.dumps(json.loads(to_json(STEP)) | {field: wrong}))


@pytest.mark.parametrize("field", ["release_id", "plant_id", "circuit_id", "phase"])
@pytest.mark.parametrize("wrong", [None, "", 1, ["x"]])
def test_a_text_that_is_none_is_named(field: str, wrong: object) -> None:
    """Numbers are not taken for ids here: we wrote the message ourselves."""
    with pytest.raises(PermanentError, match=f"smoke-test: {field}"):
        parse_message(json.dumps(json.loads(to_json(STEP)) | {field: wrong}))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "v is None"),
        ('{"v": 2, "kind": "deploy"}', "v is 2, this app speaks version 1"),
        ('{"v": 1}', "kind is None"),
        ('{"v": 1, "kind": "destroy"}', "kind is 'destroy'"),
        ('{"v": 1, "kind": ["deploy"]}', "kind is"),
        ('{"v": 1, "kind": "deploy"}', "release_id"),
        ('{"v": 1, "kind": "fan-out", "release_id": "x", "gen": 1, "round": 0, "cursor": ""}', "round"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(body: str | bytes, said: str) -> None:
    """Anything may stand in a queue."""
    with pytest.raises(PermanentError, match=said):
        parse_message(body)


def test_the_delay_is_no_part_of_a_message() -> None:
    """It is when the message comes, not what it says."""
    later = replace(STEP, delay=timedelta(seconds=30))
    assert to_json(later) == to_json(STEP)
    assert message_id(later) == message_id(STEP)


def test_ids_are_derived_as_the_documentation_says() -> None:
    """Release, gen, stage, plant, circuit, phase, look, redrive."""
    assert message_id(STEP) == "20251210.1|2|test|PLANT001|CIRCUIT01|smoke_testing|3|r1"


def test_different_work_has_different_ids() -> None:
    """Duplicate detection must never take one for the other."""
    commands: list[Sendable] = [
        *COMMANDS.values(),
        replace(STEP, n=4),
        replace(STEP, redrive=2),
        replace(STEP, gen=3),
        replace(STEP, circuit=OTHER_CIRCUIT),
        replace(STEP, release_id="20251210.2"),
        replace(STEP, phase=CircuitPhase.ACTIVATING_TEST),
        replace(FAN_OUT, cursor=""),
        replace(FAN_OUT, redrive=1),
        replace(FAN_OUT, round=Round.TEST),
        replace(NOTICE, n=2),
        replace(NOTICE, row_key="n|gate_opened:x|email|bob@example.com"),
        replace(ARTIFACT, redrive=1),
        replace(PRUNE, cursor=""),
    ]
    assert len({message_id(command) for command in commands}) == len(commands)


def test_long_ids_are_cut_to_what_the_service_takes_and_still_differ() -> None:
    """The tail is hashed past 128 characters."""
    long = replace(NOTICE, row_key="n|gate_opened|email|" + "x" * 200)
    other = replace(long, redrive=9)
    assert {len(message_id(command)) for command in (long, other)} == {128}
    assert message_id(long) != message_id(other)
    assert message_id(long).startswith("20251210.1|notify|n|gate_opened|")


@pytest.mark.parametrize("place", [*CircuitPhase, *(r for r in Round if r)])
def test_every_phase_and_round_has_its_stage(place: CircuitPhase | Round) -> None:
    """What is not registry or test is production; phases agree with their round."""
    assert stage(place) in {"registry", "test", "production"}
    assert STAGES[Round.PROMOTION] == STAGES[CircuitPhase.PROMOTING] == "registry"
