"""Unit: wherever people's words enter, they become one printable line before anybody is shown them."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.application.intake import Arrival, Intake
from shared.application.manifest import parse_manifest
from shared.domain.errors import InvalidManifest, RequestRefused
from shared.domain.words import clean
from shared.triggers.api import CancelBody, RetryBody
from shared.triggers.gate_visitor import AnswerBody, read_answer
from shared.triggers.http import circuit_of, replies
from shared.triggers.rollback_visitor import read_confirmation
from shared.triggers.rollbacks import DriftBody, HoldBody, RollbackBody
from tests.support.builders import RELEASE_ID
from tests.support.pipeline_world import PipelineWorld

FORGED = "ok\n\n📋 Deployed Circuits:\n - FORGED\r\nBcc: x@evil.example \x1b[31m\u202egnp\x07"
SAID = "ok 📋 Deployed Circuits: - FORGED Bcc: x@evil.example [31m gnp"
CIRCUIT = {"plant_id": "PLANT001", "circuit_id": "CIRCUIT01"}


def form(fields: Mapping[str, str]) -> func.HttpRequest:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return func.HttpRequest("POST", "https://x.example", headers=headers, body=urlencode(fields).encode())


WORDS: Mapping[str, Callable[[str], str]] = {
    "reason of a rollback": lambda said: RollbackBody(reason=said, plant_id="P").reason,
    "who asks for a rollback": lambda said: RollbackBody(reason="x", plant_id="P", requested_by=said).requested_by,
    "reason of a hold": lambda said: HoldBody(action="hold", reason=said).reason,
    "who holds": lambda said: HoldBody(action="lift", reason="x", requested_by=said).requested_by,
    "reason about drift": lambda said: DriftBody(reason=said).reason,
    "who decides about drift": lambda said: DriftBody(reason="x", requested_by=said).requested_by,
    "reason of a cancellation": lambda said: CancelBody(reason=said).reason,
    "who retries": lambda said: RetryBody(reason="x", requested_by=said).requested_by,
    "reason to leave a circuit out of a retry": lambda said: RetryBody(reason="x", exclude={"P/C": said}).exclude[
        "P/C"
    ],
    "comment of a vote": lambda said: AnswerBody(comment=said).comment,
    "comment in a form": lambda said: read_answer(form({"comment": said})).comment,
    "reason to leave a circuit out at a gate": lambda said: AnswerBody(exclude={"P/C": said}).exclude["P/C"],
    "the same in a form": lambda said: read_answer(form({"exclude:P/C": said})).exclude["P/C"],
    "reason on the rollback page": lambda said: read_confirmation(form({"reason": said})).reason,
    "who asked, in an artifact": lambda said: parse_manifest(artifact(requested_by=said)).requested_by,
    "commit in an artifact": lambda said: parse_manifest(artifact(commit_sha=said)).commit_sha,
}


def artifact(**head: str) -> bytes:
    entries = [{**CIRCUIT, "cutoff_date": "2025-11-01"}]
    return json.dumps({"release_id": RELEASE_ID, "circuits": entries, **head}).encode()


@pytest.mark.parametrize("where", WORDS)
def test_a_forged_line_becomes_part_of_the_sentence(where: str) -> None:
    """Issue 4: in a text mail a line of its own would look like ours."""
    assert WORDS[where](FORGED) == SAID


@pytest.mark.parametrize("where", WORDS)
@given(text=st.text(max_size=60))
def test_every_way_in_cleans_alike(where: str, text: str) -> None:
    """Whatever is typed; nothing readable is lost, and nothing but blanks is as good as nothing."""
    said = f"because {text}".encode(errors="replace").decode()
    assert WORDS[where](said) == clean(said)


@pytest.mark.parametrize("body", [RollbackBody, HoldBody, CancelBody, DriftBody])
def test_a_reason_of_nothing_to_read_is_none(body: type[CancelBody]) -> None:
    """And one of 501 characters is too long; spaces that are taken away do not count."""
    given_ = {RollbackBody: {"plant_id": "P"}, HoldBody: {"action": "lift"}}.get(body, {})  # type: ignore[call-overload]
    for reason in ("\u200b\n \x07", "x" * 501):
        with pytest.raises(ValidationError):
            body.model_validate({**given_, "reason": reason})
    assert body.model_validate({**given_, "reason": f"\n{'x' * 500}\n"}).reason == "x" * 500


def test_a_refused_circuit_is_named_in_one_line() -> None:
    """The refusal is a mail as well; its ids are whatever the build wrote."""
    entries = [{"plant_id": FORGED, "circuit_id": "C1", "cutoff_date": "2025-11-01"}]
    with pytest.raises(InvalidManifest) as refused:
        parse_manifest(json.dumps({"release_id": RELEASE_ID, "circuits": entries}).encode())
    assert str(refused.value).isprintable()


def test_a_path_that_would_forge_lines_is_refused_and_told_in_one_line() -> None:
    """Blob names may hold anything."""
    world = PipelineWorld()
    path = f"releases/{FORGED.replace('/', '')}/changed_circuits.json"
    world.evidence.upload(path, artifact(), at=datetime(2025, 12, 10, tzinfo=UTC))
    assert Intake(world.ports).from_artifact(path, artifact()).arrival is Arrival.INVALID
    world.run()
    (refused,) = [rows["!release"].row for name, rows in world.releases.rows.items() if name.startswith("invalid-")]
    assert refused.reason.isprintable()
    assert refused.artifact_path.isprintable()


def test_one_tick_takes_all_circuits_that_the_page_has_shown() -> None:
    """A release of fifty circuits is not fifty taps; nothing else is taken along."""
    shown = {"from:P/A": "d1", "from:P/B": "d2", "circuit": "P/A", "reason": "bad"}
    assert read_confirmation(form(shown)).circuits == ("P/A",)
    assert read_confirmation(form({**shown, "all": "yes"})).circuits == ("P/A", "P/B")


@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", "", "x" * 101, "a|b"])
def test_a_name_that_no_circuit_can_have_is_not_found(name: str) -> None:
    """Instead of a question to the storage, which refuses such keys."""
    ids = {"plant": name, "circuit": "CIRCUIT01"}
    request = func.HttpRequest("GET", "/api/circuits/x/y", route_params=ids, body=b"")
    with pytest.raises(RequestRefused) as refused:
        circuit_of(request)
    assert refused.value.status == 404


def test_what_is_too_long_is_told_in_our_words() -> None:
    """On a page for people: how long it may be, and what to do."""

    @replies(as_page=True)
    def answering(req: func.HttpRequest) -> func.HttpResponse:
        read_answer(req)
        raise AssertionError("it was taken")

    reply = answering(form({"comment": "x" * 10_001}))
    assert reply.status_code == 422
    assert "comment: longer than 10000 characters: shorten it" in reply.get_body().decode()


def test_who_asked_is_refused_where_it_is_too_long_and_never_cut() -> None:
    """REQUESTER_MAY_APPROVE compares it with who decides; the schema refuses it as well."""
    assert parse_manifest(artifact(requested_by="x" * 256)).requested_by == "x" * 256
    with pytest.raises(InvalidManifest, match="requested_by has 257 characters; 256 are possible"):
        parse_manifest(artifact(requested_by="x" * 257))
