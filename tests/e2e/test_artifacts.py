"""The door: every shape of artifact that builds write, and every one that must be refused where people see it."""

import json
import os
import signal
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from tests.support.pipeline import ARTIFACT_NAME, CUTOFF, Json, Pipeline, circuit_in, entry
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

UNKNOWN = "PLANT900/CIRCUIT01"
"""No model of it lies in Dev: its inspection fails fast, and nobody is asked."""
SECOND = "PLANT900/CIRCUIT02"


def shapes() -> dict[str, Any]:
    """The shapes of the field, A to F, and the proposed version 1."""
    plain = {**entry(UNKNOWN), "change_type": "training"}
    full = {**plain, "model_name": "plant900-circuit01"}
    return {
        "A": {"circuits": [full, {**full, **entry(SECOND), "model_name": "plant900-circuit02"}]},
        "B": [plain, {**plain, **entry(SECOND)}],
        "D": {"circuits": [{**entry(UNKNOWN), "model_name": "plant900-circuit01"}]},
        "E": [
            {
                **entry(UNKNOWN),
                "environment_version": "12",
                "config_path": "a/b.yml",
                "pr_number": 7,
                "commit_sha": "c0ffee",
            }
        ],
        "F": {
            "circuits": [{**full, "features": ["flow", "inlet"], "model": {"kind": "ridge", "alpha": [0.1, 1.0]}}],
            "generated_by": {"tool": "trainer", "version": 3},
        },
        "version 1": {
            "schema_version": 1,
            "commit_sha": "c0ffee",
            "requested_by": "build pipeline",
            "circuits": [{**full, "model_version": "3"}],
        },
    }


@pytest.fixture(scope="module")
def first_refusal(pipeline: Pipeline) -> str:
    """The path of the first artifact that this stack refuses: its mail goes out at once, later ones are collected."""
    path = f"first/{ARTIFACT_NAME}"
    pipeline.upload(path, {"circuits": [entry(UNKNOWN)]})
    wait_until(lambda: pipeline.invalid(path), "it is recorded")
    return path


def assert_people_hear_of(pipeline: Pipeline, path: str) -> None:
    """A mail tells of it, or the one that is planned and collects what was refused meanwhile."""
    wait_until(
        lambda: any(path in mail.text for mail in pipeline.mails()) or pipeline.queues()["control"]["scheduled"],
        f"a mail about {path}, sent or planned",
    )


def path_of(release_id: str, build_id: str = "777") -> str:
    return f"releases/{release_id}/{build_id}/{ARTIFACT_NAME}"


def test_every_shape_of_the_field_starts_a_release(pipeline: Pipeline) -> None:
    """A to F without A's C: the circuits are understood; here they all fail by name, because Dev has no model of them."""
    started = {shape: (pipeline.fresh_id(), content) for shape, content in shapes().items()}
    for release_id, content in started.values():
        pipeline.upload(path_of(release_id), content)
    for shape, (release_id, content) in started.items():
        release = pipeline.wait_phase(release_id, "failed")
        listed = content if isinstance(content, list) else content["circuits"]
        assert release["total"] == len(listed), shape
        failed = circuit_in(release, UNKNOWN)
        assert (failed["phase"], failed["cutoff_date"]) == ("failed", CUTOFF), shape
        assert UNKNOWN in release["reason"], shape
        assert release["build_id"] == "777", shape
    assert all(not pipeline.invalid(path_of(release_id)) for release_id, _ in started.values())


@pytest.mark.parametrize("content", [{"circuits": []}, []], ids=["object", "bare list"])
def test_an_empty_list_is_recorded_and_nobody_is_asked(pipeline: Pipeline, content: object) -> None:
    """Shape C ends at once as nothing_to_do."""
    release_id = pipeline.fresh_id()
    pipeline.upload(path_of(release_id), content)
    release = pipeline.wait_phase(release_id, "nothing_to_do")
    assert (release["total"], release["gates"]) == (0, [])
    assert pipeline.mails_about(release_id, "please decide") == []


REFUSED: dict[str, tuple[object, str]] = {
    "shape G": (
        {"circuits": [{"plant_id": "PLANT900", "circuit_id": "C1", "mltable_name": "P_C", "mltable_version": CUTOFF}]},
        "cutoff_date is missing",
    ),
    "broken JSON": (b'{"circuits": [', "no JSON"),
    "no list": ({"changed": [entry(UNKNOWN)]}, '"circuits" is missing'),
    "duplicates": ([entry(UNKNOWN), entry(UNKNOWN)], f"listed more than once: {UNKNOWN}"),
    "colliding names": ([entry("PLANT1-A/B"), entry("PLANT1/A-B")], "be-plant1-a-b"),
    "another model's name": ({"circuits": [{**entry(UNKNOWN), "model_name": "other"}]}, "plant900-circuit01"),
    "another id than the path": ({"release_id": "20240101.1", "circuits": [entry(UNKNOWN)]}, "release_id differs"),
}


def test_operators_are_told_the_path_and_the_fields_to_use(pipeline: Pipeline, first_refusal: str) -> None:
    """R57: one mail, to the operators only, with the reason and with what a build has to write, and where."""
    told = wait_until(lambda: [m for m in pipeline.mails() if first_refusal in m.text], "the mail about it")
    assert [mail.to for mail in told] == [("ops@example.org",)]
    for expected in (
        "release_id is missing",
        "releases/{release_id}/{build_id}/changed_circuits.json",
        "plant_id",
        "circuit_id",
        "cutoff_date",
    ):
        assert expected in told[0].text


def test_what_cannot_be_used_is_recorded_and_claims_no_id(pipeline: Pipeline, first_refusal: str) -> None:
    """Recorded once as invalid with the reason; people hear of it; the id stays free for a good artifact."""
    refused = {name: (pipeline.fresh_id(), *case) for name, case in REFUSED.items()}
    for release_id, content, _ in refused.values():
        pipeline.upload(path_of(release_id), content)
    for name, (release_id, _, reason) in refused.items():
        record = the_record(pipeline, path_of(release_id))
        assert reason in record["reason"], name
        assert record["release_id"] != release_id
        assert pipeline.release(release_id) is None, name
        assert_people_hear_of(pipeline, path_of(release_id))
    for name, (release_id, _, _) in refused.items():
        pipeline.upload(path_of(release_id, "778"), [])
        assert pipeline.wait_phase(release_id, "nothing_to_do")["build_id"] == "778", name


def the_record(pipeline: Pipeline, path: str) -> Json:
    """The one record of what was refused at this path."""
    (record,) = wait_until(lambda: pipeline.invalid(path), f"{path} is recorded")
    return record


def test_an_artifact_without_a_release_id_is_refused(pipeline: Pipeline, first_refusal: str) -> None:
    """Neither in the body, nor in the path, nor in metadata: never guessed."""
    record = the_record(pipeline, first_refusal)
    assert "release_id is missing" in record["reason"]
    assert (record["total"], record["phase"]) == (0, "invalid")


def test_the_ids_may_stand_in_the_blobs_metadata(pipeline: Pipeline) -> None:
    """The third place for them; the timer's later look at the same blob must not take it for invalid."""
    release_id, path = pipeline.fresh_id(), f"by-metadata/{ARTIFACT_NAME}"
    pipeline.upload(path, [], {"release_id": release_id, "build_id": "901"})
    assert pipeline.wait_phase(release_id, "nothing_to_do")["build_id"] == "901"
    pipeline.run_timer("scan_artifacts")
    assert pipeline.invalid(path) == []


def test_a_build_id_may_be_missing_with_a_warning(pipeline: Pipeline) -> None:
    """`unknown`, and the release says so."""
    release_id = pipeline.fresh_id()
    pipeline.upload(f"somewhere/{release_id}/{ARTIFACT_NAME}", {"release_id": release_id, "circuits": []})
    release = pipeline.wait_phase(release_id, "nothing_to_do")
    assert release["build_id"] == "unknown"
    assert any("build_id" in warning for warning in release["warnings"])


def test_the_same_id_with_other_content_is_refused_and_the_first_stays(pipeline: Pipeline, first_refusal: str) -> None:
    """The second is told to people; the first is not even touched."""
    release_id = pipeline.fresh_id()
    pipeline.upload(path_of(release_id), [])
    pipeline.wait_phase(release_id, "nothing_to_do")
    before = pipeline.rows(release_id)
    pipeline.upload(path_of(release_id, "999"), [entry(UNKNOWN)])
    record = the_record(pipeline, path_of(release_id, "999"))
    assert "already exists with other content" in record["reason"]
    assert pipeline.rows(release_id) == before
    assert_people_hear_of(pipeline, path_of(release_id, "999"))


def test_another_blobs_name_starts_nothing(pipeline: Pipeline) -> None:
    """R1: the name alone decides, whatever the content."""
    names = ("changed_circuits.json.bak", "my_changed_circuits.json", "Changed_Circuits.json", "readme.md")
    paths = [f"releases/{pipeline.fresh_id()}/777/{name}" for name in names]
    before = pipeline.invocations()["artifact_uploaded"]["succeeded"]
    for path in paths:
        pipeline.upload(path, [])
    wait_until(
        lambda: pipeline.invocations()["artifact_uploaded"]["succeeded"] >= before + len(names), "all were looked at"
    )
    pipeline.run_timer("scan_artifacts")
    for path in paths:
        assert pipeline.release(path.split("/")[1]) is None
        assert pipeline.invalid(path) == []


def test_a_redelivered_event_adds_no_release_and_changes_nothing(pipeline: Pipeline) -> None:
    """R1: Event Grid delivers at least once."""
    release_id = pipeline.fresh_id()
    pipeline.upload(path_of(release_id), [entry(UNKNOWN)])
    pipeline.wait_phase(release_id, "failed")
    wait_until(lambda: _all_sent(pipeline, release_id), "every message to people is out")
    before, looked = pipeline.rows(release_id), pipeline.invocations()["artifact_uploaded"]["succeeded"]
    assert pipeline.repeat_event(path_of(release_id)).status == 202
    wait_until(lambda: pipeline.invocations()["artifact_uploaded"]["succeeded"] > looked, "the event was handled")
    assert pipeline.rows(release_id) == before
    assert [r["release_id"] for r in pipeline.releases()].count(release_id) == 1


def _all_sent(pipeline: Pipeline, release_id: str) -> bool:
    notices = [row for key, (_, row) in pipeline.rows(release_id).items() if key.startswith("n|")]
    return bool(notices) and all("sent" in json.dumps(row, default=str) for row in notices)


def test_the_timer_starts_what_the_events_have_missed(pipeline: Pipeline) -> None:
    """R57: while no event comes, nothing starts; the timer's look starts it; the late event then adds nothing."""
    release_id, forwarder = pipeline.fresh_id(), pipeline.process_of("blob-events")
    os.kill(forwarder, signal.SIGSTOP)
    try:
        pipeline.upload(path_of(release_id), [])
        looked = pipeline.invocations()["artifact_uploaded"]["started"]
        assert pipeline.release(release_id) is None
        pipeline.run_timer("scan_artifacts")
        found = pipeline.wait_phase(release_id, "nothing_to_do")
        assert pipeline.invocations()["artifact_uploaded"]["started"] == looked
    finally:
        os.kill(forwarder, signal.SIGCONT)
    wait_until(lambda: pipeline.invocations()["artifact_uploaded"]["succeeded"] > looked, "the event comes after all")
    assert pipeline.release(release_id) == found


def test_the_timer_tells_of_an_invalid_artifact_only_once(pipeline: Pipeline, first_refusal: str) -> None:
    """Every ten minutes it sees the same blob again; people have heard of it."""
    record = the_record(pipeline, first_refusal)
    wait_until(lambda: [m for m in pipeline.mails() if first_refusal in m.text], "the mail about it")
    for _ in range(2):
        pipeline.run_timer("scan_artifacts")
    assert pipeline.invalid(first_refusal) == [record]
    subjects = [mail.subject for mail in pipeline.mails() if first_refusal in mail.text]
    assert len(subjects) == 1


def test_no_artifact_ended_in_the_poison_queue(pipeline: Pipeline) -> None:
    """Nothing that a build can upload makes the function fail: no invocation failed, no poison message was written."""
    path = f"poison/{ARTIFACT_NAME}"
    pipeline.upload(path, b"\xff\xfe\x00 neither text nor JSON \x00")
    wait_until(lambda: pipeline.invalid(path), "it is recorded")
    assert pipeline.invocations()["artifact_uploaded"]["failed"] == 0
    requests = pipeline.places.log("storage").read_text(encoding="utf-8")
    assert "changed_circuits.json" in requests
    assert "webjobs-blobtrigger-poison" not in requests


def test_the_manifest_is_kept_as_it_came(pipeline: Pipeline) -> None:
    """Whole training configurations (shape F) are evidence: the stored copy is the upload, byte for byte."""
    release_id = pipeline.fresh_id()
    content = json.dumps({"circuits": [], "extra": {"kept": ["as", "it", "came"]}}, indent=3).encode()
    pipeline.upload(path_of(release_id), content)
    pipeline.wait_phase(release_id, "nothing_to_do")
    with BlobServiceClient.from_connection_string(pipeline.stack.blob_connection_string) as storage:
        evidence = storage.get_container_client("evidence")
        (name,) = evidence.list_blob_names(name_starts_with=f"{release_id}/manifest-")
        assert evidence.download_blob(name).readall() == content
