"""Unit: an artifact starts exactly one release, or is refused where people see it; nothing is lost at the door."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.application.intake import Arrival, Intake, Intaken, is_artifact
from shared.domain.commands import FanOut, ReadArtifact
from shared.domain.errors import PermanentError, PipelineError, TransientError
from shared.domain.model import Channel, Moment, ReleasePhase
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.pipeline_world import ALL_CIRCUITS, OPERATORS, PipelineWorld, artifact, artifact_path

PATH = artifact_path(RELEASE_ID)
ENTRY = {"plant_id": "PLANT001", "circuit_id": "CIRCUIT01", "cutoff_date": "2025-11-01"}
WINDOW = timedelta(days=7)


def arrive(world: PipelineWorld, content: object, path: str = PATH, **metadata: str) -> Intaken:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    world.evidence.upload(path, body, at=world.clock.now(), metadata=metadata)
    return Intake(world.ports).from_artifact(path, body, metadata=metadata)


@pytest.mark.parametrize(
    ("path", "starts"),
    [
        ("changed_circuits.json", True),
        ("releases/20251210.1/12345/changed_circuits.json", True),
        ("releases/20251210.1/12345/changed_circuits.json.bak", False),
        ("releases/changed_circuits.json/other.json", False),
        ("Changed_Circuits.json", False),
    ],
)
def test_the_name_alone_decides_whether_a_blob_is_an_artifact(path: str, *, starts: bool) -> None:
    """R1: another name starts none."""
    assert is_artifact(path) is starts


SHAPES = {
    "A": {"circuits": [{**ENTRY, "model_name": "plant001-circuit01", "change_type": "retrained"}]},
    "B": [ENTRY],
    "D": {"circuits": [{**ENTRY, "model_name": "plant001-circuit01"}]},
    "E": [{**ENTRY, "environment_version": "7", "config_path": "c.yml", "pr_number": 12, "commit_sha": "abc"}],
    "F": {"circuits": [{**ENTRY, "hyperparameters": {"depth": 7}, "features": ["a", "b"]}]},
    "version 1": {"schema_version": 1, "release_id": RELEASE_ID, "build_id": "12345", "circuits": [ENTRY]},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_builds_write_starts_one_release(world: PipelineWorld, shape: object) -> None:
    """Known failure 1: the outer key is never missed, no circuit gets lost."""
    taken = arrive(world, shape)

    assert (taken.arrival, taken.release_id) == (Arrival.STARTED, RELEASE_ID)
    assert (world.phase(), world.release().total, world.release().build_id) == (ReleasePhase.INSPECTING, 1, "12345")
    assert [type(command) for command in world.bus.sent] == [FanOut]


@pytest.mark.parametrize("shape", [{"circuits": []}, []])
def test_an_empty_list_has_nothing_to_do(world: PipelineWorld, shape: object) -> None:
    """Shape C: recorded, nobody is asked, and it is over."""
    arrive(world, shape)

    assert world.phase() is ReleasePhase.NOTHING_TO_DO
    assert world.releases.active_release_ids() == []
    assert world.bus.sent == []


def test_a_redelivered_upload_adds_nothing(world: PipelineWorld) -> None:
    """R1: the same id with the same content is known."""
    arrive(world, [ENTRY])
    sent = list(world.bus.sent)

    assert arrive(world, [ENTRY]).arrival is Arrival.KNOWN
    assert world.bus.sent == sent


def test_the_same_id_with_other_content_is_a_conflict_and_the_first_stays(world: PipelineWorld) -> None:
    """Refused, and told to operators with what to do instead."""
    arrive(world, [ENTRY])
    first = world.release()

    taken = arrive(world, [{**ENTRY, "cutoff_date": "2025-12-01"}])
    world.run(lambda: bool(world.mail.letters))

    assert taken.arrival is Arrival.CONFLICT
    assert world.release().manifest_sha256 == first.manifest_sha256
    assert "release_id of its own" in world.mail.letters[0].release.reason


REFUSED = {
    "broken": (b"{", PATH, "JSON"),
    "shape G": (
        [{"plant_id": "P", "circuit_id": "C", "mltable_name": "t", "mltable_version": "1"}],
        PATH,
        "cutoff_date",
    ),
    "no id": ([ENTRY], "somewhere/changed_circuits.json", "release_id"),
    "two ids": ({"release_id": "20251210.2", "circuits": [ENTRY]}, PATH, "20251210.2"),
    "twice": ([ENTRY, ENTRY], PATH, "PLANT001/CIRCUIT01"),
}


@pytest.mark.parametrize(("content", "path", "said"), REFUSED.values(), ids=REFUSED)
def test_an_artifact_that_can_not_be_used_is_recorded_and_told(
    world: PipelineWorld, content: object, path: str, said: str
) -> None:
    """R57: `invalid` never claims an id, and the mail prints what is wrong."""
    taken = arrive(world, content, path)
    world.run()

    assert taken.arrival is Arrival.INVALID
    assert said in taken.message
    assert world.releases.release(RELEASE_ID) is None
    [letter] = world.mail.letters
    assert (letter.notice.recipient, letter.notice.moment) == (OPERATORS[0], Moment.ARTIFACT_INVALID)
    assert said in letter.release.reason
    assert letter.notice.channel is Channel.EMAIL


def test_the_same_invalid_artifact_is_told_once(world: PipelineWorld) -> None:
    """Never a poison queue, never a flood of mails."""
    for _ in range(3):
        arrive(world, b"{")
        world.run()
    Intake(world.ports).scan(WINDOW)
    world.run()

    assert len(world.mail.letters) == 1


@pytest.mark.parametrize("request_", ["put", "begin", "commit"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_refusal_interrupted_anywhere_is_told_once_when_its_event_comes_again(
    world: PipelineWorld, request_: str, nth: int
) -> None:
    """The row alone tells nobody: a repeat finds its own place in the mails and goes on."""
    seen: list[str] = []

    def break_off(request: str) -> None:
        if request == request_:
            seen.append(request)
            if len(seen) == nth:
                raise TransientError("storage is down")

    world.releases.on_request = world.evidence.on_request = break_off
    with suppress(TransientError):
        arrive(world, b"{")
    world.clock.forward(timedelta(minutes=5))
    world.sweep()
    for _ in range(3):
        arrive(world, b"{")
        world.sweep_for(timedelta(minutes=20))

    assert len(world.mail.letters) == 1


def test_a_release_id_may_stand_in_the_blobs_metadata(world: PipelineWorld) -> None:
    """The last place where it is looked for; the fan-out remembers it."""
    world.build(CIRCUIT)
    arrive(world, [ENTRY], "drop/changed_circuits.json", release_id="20251210.7", build_id="12345")
    world.run(lambda: world.phase("20251210.7") is ReleasePhase.AWAITING_REGISTRY_APPROVAL)

    assert world.circuit(CIRCUIT, "20251210.7").cutoff_date == "2025-11-01"


@pytest.mark.parametrize("content", [b"", b" \n"])
def test_an_empty_blob_is_read_again_after_a_minute(world: PipelineWorld, content: bytes) -> None:
    """R57: an upload in parts is first seen empty."""
    taken = arrive(world, content)

    assert taken.arrival is Arrival.EMPTY
    assert world.bus.sent == [ReadArtifact(path=PATH, delay=timedelta(seconds=60))]
    world.evidence.upload(PATH, artifact([CIRCUIT]), at=world.clock.now())
    world.run(lambda: world.releases.release(RELEASE_ID) is not None)
    assert world.phase() is ReleasePhase.INSPECTING


def test_a_blob_that_stays_empty_is_invalid(world: PipelineWorld) -> None:
    """The second look is the last."""
    arrive(world, b"")

    assert Intake(world.ports).read_again(PATH).arrival is Arrival.INVALID


def test_the_scan_starts_what_has_no_release(world: PipelineWorld) -> None:
    """R57: an event that was lost loses no artifact."""
    world.evidence.upload(PATH, artifact(ALL_CIRCUITS), at=world.clock.now())
    world.evidence.upload("releases/20251210.2/1/other.json", b"{}", at=world.clock.now())

    looks = Intake(world.ports).scan(WINDOW)

    assert [(look.arrival, look.release_id) for look in looks] == [(Arrival.STARTED, RELEASE_ID)]
    assert [look.arrival for look in Intake(world.ports).scan(WINDOW)] == [Arrival.KNOWN]


@pytest.mark.parametrize("error", [PermanentError("409 BlobArchived"), TransientError("503")])
def test_an_artifact_that_can_not_be_read_does_not_stop_the_scan(world: PipelineWorld, error: PipelineError) -> None:
    """R57: whoever lies behind it is started; the look fails visibly all the same."""
    unreadable = artifact_path("20251201.1")
    world.evidence.upload(unreadable, artifact(ALL_CIRCUITS), at=world.clock.now())
    world.evidence.upload(PATH, artifact(ALL_CIRCUITS), at=world.clock.now())
    read = world.evidence.artifact

    def refuse(path: str) -> bytes | None:
        if path == unreadable:
            raise error
        return read(path)

    world.evidence.artifact = refuse  # type: ignore[method-assign]  # a blob in trouble
    with pytest.raises(type(error)):
        Intake(world.ports).scan(WINDOW)

    assert world.phase() is ReleasePhase.INSPECTING


def test_the_scan_finds_an_id_in_the_metadata(world: PipelineWorld) -> None:
    """As the event would have."""
    world.evidence.upload(
        "drop/changed_circuits.json", artifact([CIRCUIT]), at=world.clock.now(), metadata={"release_id": "20251210.7"}
    )

    [look] = Intake(world.ports).scan(WINDOW)

    assert (look.arrival, look.release_id) == (Arrival.STARTED, "20251210.7")


def test_the_scan_looks_back_only_as_far_as_it_is_told(world: PipelineWorld) -> None:
    """Last year's artifacts are left alone."""
    world.evidence.upload(PATH, artifact(ALL_CIRCUITS), at=world.clock.now() - timedelta(days=8))

    assert Intake(world.ports).scan(WINDOW) == []


def test_a_request_that_is_refused_is_answered_and_not_recorded(world: PipelineWorld) -> None:
    """The caller is told; nobody else needs to be."""
    taken = Intake(world.ports).from_request(b"[]")

    assert taken.arrival is Arrival.INVALID
    assert world.releases.rows == {}


def test_an_intake_interrupted_before_its_message_goes_on(world: PipelineWorld) -> None:
    """The row is there, the bus was not: the sweeper drives the fan-out."""

    def down(_request: str) -> None:
        raise TransientError("bus is down")

    world.bus.on_request = down
    world.build()
    with pytest.raises(TransientError):
        arrive(world, json.loads(artifact(ALL_CIRCUITS)))
    world.bus.on_request = lambda _request: None

    world.sweep_for(timedelta(minutes=5))

    assert world.phase() is ReleasePhase.AWAITING_REGISTRY_APPROVAL


def test_an_intake_completed_from_metadata_keeps_its_ids(world: PipelineWorld) -> None:
    """The frozen copy does not carry them; the `active` row does."""
    arrive(world, [ENTRY], "drop/changed_circuits.json", release_id="20251210.7", build_id="99")
    world.lose_messages()
    world.releases.rows.clear()

    world.sweep()

    assert (world.release("20251210.7").build_id, world.release("20251210.7").total) == ("99", 1)
