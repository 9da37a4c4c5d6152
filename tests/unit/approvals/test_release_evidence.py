"""Unit: the auditor's bundle is complete, written once, and one altered byte in it or in what it names shows."""

import ast
import hashlib
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.email.message import mime_message
from shared.application.evidence import canonical_json
from shared.application.release_evidence import bundle_path, read_bundle
from shared.domain.errors import RequestRefused
from shared.domain.model import CircuitPhase, Environment, GateName, ReleasePhase
from shared.domain.naming import model_name
from shared.domain.policy import Policy
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID, THIRD_CIRCUIT
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import APPROVERS, PipelineWorld

WAITING = {
    GateName.REGISTRY: ReleasePhase.AWAITING_REGISTRY_APPROVAL,
    GateName.PRODUCTION: ReleasePhase.AWAITING_PRODUCTION_APPROVAL,
}
SCRIPT = Path(__file__).parents[3] / "examples" / "verify_evidence.py"


def released() -> PipelineWorld:
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY, exclude={str(OTHER_CIRCUIT): "sensor is being replaced"})
    world.to_phase(ReleasePhase.SUCCEEDED)
    world.run()
    return world


@pytest.fixture(scope="module")
def world() -> PipelineWorld:
    """One successful release; nothing in these tests changes it."""
    return released()


@pytest.fixture(scope="module")
def voted_before() -> PipelineWorld:
    """A release with a vote on evidence that was replaced; as above."""
    return replaced()


def bundle(world: PipelineWorld) -> tuple[bytes, dict[str, Any]]:
    content, _ = read_bundle(RELEASE_ID, "", world.ports)
    return content, json.loads(content)


def files_of(world: PipelineWorld, folder: Path, *more: str) -> tuple[str, list[Path]]:
    """What an auditor has: the number from the mail, the bundle, and the documents it names."""
    paths = []
    for part in ("", "manifest", *GateName, *more):
        content, _ = read_bundle(RELEASE_ID, part, world.ports)
        paths.append(folder / f"{part or 'evidence'}.json")
        paths[-1].write_bytes(content)
    return world.release().evidence_sha256, paths


def replaced() -> PipelineWorld:
    """Ann votes at gate 1, the evidence is replaced, and both vote on the newer one."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY, recipient=APPROVERS[0])
    first = world.gate(GateName.REGISTRY)
    name = f"be-{model_name(CIRCUIT)}"
    world.models.add_endpoint(Environment.PRODUCTION, name, default="by-hand", deployments=["by-hand"])
    world.sweep_for(timedelta(minutes=16))
    assert world.gate(GateName.REGISTRY).digest != first.digest
    for gate in GateName:
        to_gate(world, gate)
        for person in APPROVERS:
            world.answer(gate, recipient=person)
    world.run()
    return world


def to_gate(world: PipelineWorld, gate: GateName) -> None:
    world.run(lambda: world.phase() is WAITING[gate])


def verify(sha256: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), sha256, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_bundle_says_what_an_auditor_asks(world: PipelineWorld) -> None:
    """Manifest, both gates' evidence and decisions, per circuit what went where, the ledger, the whole history."""
    content, said = bundle(world)
    assert content == canonical_json(said)
    assert said["release"]["phase"] == "succeeded"
    assert said["release"]["exclusions"] == {str(OTHER_CIRCUIT): "sensor is being replaced"}
    assert said["manifest"]["sha256"] == hashlib.sha256(world.evidence.blobs[said["manifest"]["blob"]]).hexdigest()
    assert [gate["gate"] for gate in said["gates"]] == [str(gate) for gate in GateName]
    for gate in said["gates"]:
        assert gate["evidence"]["sha256"] == hashlib.sha256(world.evidence.blobs[gate["evidence"]["blob"]]).hexdigest()
        (vote,) = gate["decisions"]
        assert (vote["by"], vote["evidence_sha256"]) == (APPROVERS[0], gate["evidence"]["sha256"])
    phases = {f"{c['plant_id']}/{c['circuit_id']}": c["phase"] for c in said["circuits"]}
    assert phases[str(OTHER_CIRCUIT)] == CircuitPhase.EXCLUDED
    assert phases[str(CIRCUIT)] == CircuitPhase.LIVE
    assert [row["deployment"] for row in said["ledger"]] == ["deployment-20251210-1"] * 2
    steps = [entry["to"] for entry in said["history"] if entry["row"] == "!release"]
    assert (steps[0], steps[-1]) == ("inspecting", "succeeded")
    assert {entry["row"] for entry in said["history"]} >= {
        "!release",
        "g|registry-approval",
        f"c|{str(CIRCUIT).replace('/', '|')}",
    }


def test_its_digest_stands_in_the_row_and_in_the_last_mail(world: PipelineWorld) -> None:
    """Two copies that nobody can change together."""
    content, _ = bundle(world)
    digest = hashlib.sha256(content).hexdigest()
    assert world.release().evidence_sha256 == digest
    assert world.evidence.blobs[bundle_path(RELEASE_ID, digest)] == content
    mail = mime_message(world.mail.letters[-1], sender="releases@example.com", estate=ESTATE)
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        assert digest in part.get_content()


def test_the_offline_command_verifies_the_bundle_and_all_it_names(world: PipelineWorld, tmp_path: Path) -> None:
    """With Python alone, nothing of this project."""
    sha256, paths = files_of(world, tmp_path)
    done = verify(sha256, *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Verified: ")
    assert "the 3 documents" in done.stdout


def test_the_command_runs_on_pythons_that_auditors_have() -> None:
    """Years from now, and with what a system brings along today."""
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_bundle_alone_is_not_called_verified(world: PipelineWorld, tmp_path: Path) -> None:
    """It says which documents it has not seen, and the exit code is neither success nor an alteration's."""
    sha256, (alone, manifest, *gates) = files_of(world, tmp_path)
    for given, missing in (((), 3), ((manifest,), 2), (gates, 1)):
        done = verify(sha256, alone, *given)
        assert done.returncode == 3
        assert "Verified" not in done.stdout
        assert done.stdout.count("NOT CHECKED: ") == missing
        assert f"{3 - missing} of the 3 documents that decisions rest on were given" in done.stdout


def test_evidence_that_a_refresh_replaced_is_named_and_has_to_be_shown(
    voted_before: PipelineWorld, tmp_path: Path
) -> None:
    """Ann's first vote rests on it: without that document nothing is called verified."""
    _, said = bundle(voted_before)
    gate = said["gates"][0]
    (first,) = gate["earlier_evidence"]
    votes = [(vote["by"], vote["evidence_sha256"]) for vote in gate["decisions"]]
    last = gate["evidence"]["sha256"]
    assert votes == [(APPROVERS[0], first["sha256"]), (APPROVERS[0], last), (APPROVERS[1], last)]
    assert hashlib.sha256(voted_before.evidence.blobs[first["blob"]]).hexdigest() == first["sha256"]
    sha256, paths = files_of(voted_before, tmp_path, first["sha256"])
    assert verify(sha256, *paths).stdout.startswith("Verified: ")
    done = verify(sha256, *paths[:-1])
    assert done.returncode == 3
    assert f"NOT CHECKED: what {APPROVERS[0]} saw at registry-approval (part={first['sha256']})" in done.stdout


@pytest.mark.parametrize("number", range(5), ids=["bundle", "manifest", "gate 1", "gate 2", "replaced"])
def test_one_altered_byte_in_anything_a_vote_rests_on_fails_it(
    voted_before: PipelineWorld, tmp_path: Path, number: int
) -> None:
    """At the beginning, in the middle, at the end."""
    (first,) = bundle(voted_before)[1]["gates"][0]["earlier_evidence"]
    sha256, paths = files_of(voted_before, tmp_path, first["sha256"])
    whole = paths[number].read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        content = bytearray(whole)
        content[place] ^= 1
        paths[number].write_bytes(content)
        done = verify(sha256, *paths)
        assert done.returncode == 1
        assert done.stdout.startswith("NOT AS IT WAS")


def test_predictions_that_were_compared_are_named_too(world: PipelineWorld, tmp_path: Path) -> None:
    """They need not be given; given, they are checked."""
    _, said = bundle(world)
    kept = [one for circuit in said["circuits"] for one in circuit["predictions"]]
    assert len(kept) == 2
    sha256, paths = files_of(world, tmp_path)
    content = world.evidence.blobs[kept[0]["blob"]]
    predictions = tmp_path / "predictions.csv"
    for given, code in ((content, 0), (content + b"x", 1)):
        predictions.write_bytes(given)
        assert verify(sha256, *paths, predictions).returncode == code


def test_a_decision_on_evidence_that_was_never_shown_fails_it(world: PipelineWorld, tmp_path: Path) -> None:
    """Even if somebody rewrites the bundle and its digest: the chain between vote and evidence is broken."""
    _, said = bundle(world)
    said["gates"][0]["decisions"][0]["evidence_sha256"] = "0" * 64
    forged = canonical_json(said)
    (tmp_path / "evidence.json").write_bytes(forged)
    done = verify(hashlib.sha256(forged).hexdigest(), tmp_path / "evidence.json")
    assert done.returncode == 1
    assert "never showed" in done.stdout


def test_a_release_that_runs_has_no_bundle_yet() -> None:
    """409, and the words say when there will be one; other documents are there already."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    for part, status in (("", 409), ("production-approval", 404), ("secrets", 400), ("0" * 64, 404)):
        with pytest.raises(RequestRefused) as refused:
            read_bundle(RELEASE_ID, part, world.ports)
        assert refused.value.status == status
    digest = world.gate(GateName.REGISTRY).digest
    assert read_bundle(RELEASE_ID, "registry-approval", world.ports)[1] == digest
    assert read_bundle(RELEASE_ID, digest, world.ports) == read_bundle(RELEASE_ID, "registry-approval", world.ports)


def test_a_rejected_release_has_its_rejection_in_the_bundle() -> None:
    """The gate's row of the same transaction counts."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY, "reject", comment="Wrong cutoff date.")
    _, said = bundle(world)
    (gate,) = said["gates"]
    assert (gate["state"], gate["decisions"][0]["comment"]) == ("rejected", "Wrong cutoff date.")
    assert [entry["to"] for entry in said["history"] if entry["row"] == "g|registry-approval"] == ["open", "rejected"]


def test_each_votes_exclusions_stand_in_the_bundle() -> None:
    """Who left out what and why: with several approvers each one's counts."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.answer(GateName.REGISTRY, recipient=APPROVERS[0], exclude={str(OTHER_CIRCUIT): "sensor is being replaced"})
    world.answer(GateName.REGISTRY, recipient=APPROVERS[1])
    world.run()
    world.operations().cancel(RELEASE_ID, by="ops", reason="enough")
    _, said = bundle(world)
    votes = [(vote["by"], vote["exclude"]) for vote in said["gates"][0]["decisions"]]
    assert votes == [(APPROVERS[0], {str(OTHER_CIRCUIT): "sensor is being replaced"}), (APPROVERS[1], {})]


def test_its_digest_stands_in_the_production_ledger_as_well(world: PipelineWorld) -> None:
    """A third copy, in another table, that outlives the release's rows; what was left out has none."""
    digest = world.release().evidence_sha256
    for circuit in (CIRCUIT, THIRD_CIRCUIT):
        (entry,) = world.endpoints.ledger(Environment.PRODUCTION, circuit)
        assert entry.note is not None
        assert entry.note.evidence_sha256 == digest
        assert entry.note.approved_sha256 == world.gate(GateName.PRODUCTION).digest
    assert world.endpoints.ledger(Environment.PRODUCTION, OTHER_CIRCUIT) == []


def test_a_retried_release_gets_a_new_bundle_that_names_the_one_before(tmp_path: Path) -> None:
    """Nothing is overwritten."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.clock.set(world.gate(GateName.REGISTRY).expires_at)
    world.sweep()
    first = world.release().evidence_sha256
    world.operations().retry(RELEASE_ID, by="ops", reason="again", exclude={})
    world.to_phase(ReleasePhase.SUCCEEDED)
    _, said = bundle(world)
    assert said["previous_bundle_sha256"] == first != ""
    assert hashlib.sha256(read_bundle(RELEASE_ID, first, world.ports)[0]).hexdigest() == first
    sha256, paths = files_of(world, tmp_path, first)
    assert verify(sha256, *paths).returncode == 0


def test_a_vote_of_an_earlier_opening_says_which_one_it_was() -> None:
    """And that it does not count; the gate's own time is that of the last opening."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    to_gate(world, GateName.REGISTRY)
    first = world.gate(GateName.REGISTRY).opened_at
    world.answer(GateName.REGISTRY, recipient=APPROVERS[0])
    world.sweep_for(timedelta(hours=25))
    world.operations().retry(RELEASE_ID, by="ops", reason="back from leave", exclude={})
    to_gate(world, GateName.REGISTRY)
    second = world.gate(GateName.REGISTRY).opened_at
    for gate in GateName:
        to_gate(world, gate)
        for person in APPROVERS:
            world.answer(gate, recipient=person)
    world.run()
    said = [(vote["opened_at"], vote["counts"]) for vote in bundle(world)[1]["gates"][0]["decisions"]]
    times = [first.strftime("%Y-%m-%dT%H:%M:%SZ"), *[second.strftime("%Y-%m-%dT%H:%M:%SZ")] * 2]
    assert said == list(zip(times, [False, True, True], strict=True))


def test_a_file_that_is_not_there_is_told_and_is_not_an_altered_one(world: PipelineWorld, tmp_path: Path) -> None:
    """Exit code 2, which file, and no traceback."""
    digest, paths = files_of(world, tmp_path)
    done = verify(digest, paths[0], tmp_path / "absent.json")
    assert (done.returncode, done.stderr) == (2, "")
    assert f"{tmp_path / 'absent.json'} cannot be read: No such file or directory" in done.stdout
