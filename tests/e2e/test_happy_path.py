"""Three circuits from the artifact to production, twice, as the real azure-ai-ml client sees it afterwards."""

import json
from collections import Counter
from typing import Any

import pytest

from tests.support.pipeline import PRODUCTION_GATE, REGISTRY_GATE, Json, Pipeline, circuit_in, writes
from tests.support.stories import FIRST_MODELS, WITHIN_SECONDS, Stories, Told
from tests.support.summaries import MOMENT, SUMMARY
from tests.support.wire import exchange

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]

CIRCUITS = ("PLANT001/CIRCUIT01", "PLANT001/CIRCUIT02", "PLANT002/CIRCUIT01")
ENDPOINTS = {name: f"be-{name}" for name in FIRST_MODELS}
FIRST, SECOND = "deployment-20251210-1", "deployment-20251210-2"


@pytest.fixture(scope="module")
def told(stories: Stories) -> Told:
    """The first release, ended."""
    return stories.first.result(WITHIN_SECONDS)


@pytest.fixture(scope="module")
def release(told: Told) -> Json:
    return told.release


@pytest.fixture(scope="module")
def estate(stories: Stories) -> Json:
    """What the real client saw after the first release and before the second."""
    return stories.after_first.result(WITHIN_SECONDS)


@pytest.fixture(scope="module")
def estate_later(stories: Stories) -> Json:
    """What the real client saw after the second release."""
    return stories.after_second.result(WITHIN_SECONDS)


def test_the_release_succeeds_with_every_circuit_live(release: Json) -> None:
    """R18: all three circuits go all the way; both gates were approved by the person whose link it was, all else ran."""
    assert (release["release_id"], release["build_id"], release["phase"]) == ("20251210.1", "12345", "succeeded")
    assert {circuit["phase"] for circuit in release["circuits"]} == {"live"}
    assert len(release["circuits"]) == len(CIRCUITS) == release["total"]
    assert [(gate["gate"], gate["state"]) for gate in release["gates"]] in (
        [(PRODUCTION_GATE, "approved"), (REGISTRY_GATE, "approved")],
        [(REGISTRY_GATE, "approved"), (PRODUCTION_GATE, "approved")],
    )
    for gate in release["gates"]:
        (decision,) = gate["decisions"]
        assert decision["by"] in {"ada@example.org", "grace@example.org"}
        assert decision["how"] == f"by the link sent to {decision['by']}"
        assert decision["digest"] == gate["digest"]


def test_the_summary_has_the_documents_layout(release: Json) -> None:
    """R41, to the letter: one line per circuit, nothing more."""
    deployed_at = MOMENT.search(release["summary"].partition("Deployed At: ")[2])
    assert deployed_at
    expected = SUMMARY.format(release_id="20251210.1", build_id="12345", deployed_at=deployed_at.group())
    assert release["summary"] == expected


def test_the_phases_come_in_the_documents_order(release: Json) -> None:
    """R4: Dev, Registry, Test, Production; each transition of the release is in its history once."""
    told = [line["what"].removeprefix("release: ") for line in release["history"] if line["what"].startswith("release")]
    phases = ["inspecting", *(step.partition(" → ")[2] for step in told[1:])]
    assert told[0] == "inspecting"
    assert phases == [
        "inspecting",
        "awaiting_registry_approval",
        "promoting",
        "testing",
        "awaiting_production_approval",
        "staging_production",
        "activating",
        "succeeded",
    ]


def test_the_right_dev_version_is_chosen_among_decoys(estate: Json, release: Json) -> None:
    """R11, R12: neither the newest, nor `True`, nor another cutoff date, nor another build."""
    for name, circuit in zip(FIRST_MODELS, CIRCUITS, strict=True):
        versions = {model["version"]: model["tags"] for model in estate["dev"][name]}
        right = [
            version
            for version, tags in versions.items()
            if (tags.get("validated"), tags["cutoff_date"], tags["build_id"]) == ("true", "2025-11-01", "12345")
        ]
        assert len(right) == 1
        assert len(versions) == 5
        assert max(versions, key=int) != right[0]
        assert circuit_in(release, circuit)["model"]["source_version"] == right[0]
        (promoted,) = estate["registry"][name]
        assert promoted["properties"]["source_version"] == right[0]


def test_the_registry_holds_each_model_once_with_exactly_its_seven_tags(estate: Json) -> None:
    """R13-R15, R2, D12: the release's own version, all tags strings, promoted_at in UTC to the second."""
    for name, circuit in zip(FIRST_MODELS, CIRCUITS, strict=True):
        (model,) = estate["registry"][name]
        plant_id, _, circuit_id = circuit.partition("/")
        tags = dict(model["tags"])
        assert MOMENT.fullmatch(tags.pop("promoted_at"))
        assert tags == {
            "cutoff_date": "2025-11-01",
            "plant_id": plant_id,
            "circuit_id": circuit_id,
            "promoted_from": "dev",
            "release_id": "20251210.1",
            "build_id": "12345",
        }
        assert (model["version"], model["type"]) == ("20251210-1", "mlflow_model")


@pytest.mark.parametrize(("stage", "instances", "concurrency"), [("test", 1, 2), ("production", 2, 4)])
def test_each_endpoint_serves_the_new_deployment(estate: Json, stage: str, instances: int, concurrency: int) -> None:
    """R19-R21, R35, R38, R39: name, default, model address, sizes, all as the document has them."""
    for name in FIRST_MODELS:
        endpoint = estate[stage][name]
        assert endpoint["state"].rpartition(".")[2] == "SUCCEEDED"
        assert endpoint["default"] == FIRST
        assert list(endpoint["deployments"]) == [FIRST]
        deployment = endpoint["deployments"][FIRST]
        assert deployment["state"].rpartition(".")[2] == "SUCCEEDED"
        assert deployment["model"] == f"azureml://registries/mlr-shared/models/{name}/versions/20251210-1"
        assert deployment["compute"].rpartition("/")[2] == "batch-cluster"
        sizes = ("instance_count", "max_concurrency_per_instance", "mini_batch_size", "output_action")
        assert [deployment[size] for size in sizes] == [instances, concurrency, 10, "append_row"]


def test_a_production_deployment_has_exactly_four_tags(estate: Json) -> None:
    """R37, D6: of a circuit's first release, previous_deployment is the empty string."""
    for name in FIRST_MODELS:
        tags = dict(estate["production"][name]["deployments"][FIRST]["tags"])
        assert MOMENT.fullmatch(tags.pop("deployed_at"))
        assert tags == {"cutoff_date": "2025-11-01", "release_id": "20251210.1", "previous_deployment": ""}


def test_a_smoke_test_really_ran_the_model(release: Json) -> None:
    """R23-R28: a job per circuit with rows and times, judged before gate 2."""
    jobs = [circuit["evidence"]["smoke"] for circuit in release["circuits"]]
    assert len({job["job_name"] for job in jobs}) == 3
    for job in jobs:
        assert job["status"] == "Completed"
        assert job["rows"] > 0
        assert job["seconds"] >= job["running_seconds"] > 0


def test_the_app_never_writes_to_dev(pipeline: Pipeline, told: Told) -> None:
    """R5: not one request of the app in mlw-dev was a write, and nobody's was while the release ran."""
    entries = pipeline.azure_ml()
    reads = [entry for entry in entries if entry["scope"] == "mlw-dev" and entry["identity"] == "app"]
    assert reads, "the app has read the models"
    assert writes([entry for entry in entries if entry["identity"] == "app"], "mlw-dev") == []
    during = [entry for entry in entries if told.began < entry["n"] <= told.ended]
    assert writes(during, "mlw-dev", *FIRST_MODELS) == []


def test_nothing_is_written_to_a_stage_before_its_gate_was_approved(pipeline: Pipeline, told: Told) -> None:
    """R4: none to the Registry before gate 1, none to mlw-prod before gate 2; afterwards there are some."""
    entries = [entry for entry in pipeline.azure_ml(told.began) if entry["n"] <= told.ended]
    for scope, gate in (("mlr-shared", REGISTRY_GATE), ("mlw-test", REGISTRY_GATE), ("mlw-prod", PRODUCTION_GATE)):
        before = [entry for entry in entries if entry["n"] <= told.approved[gate]]
        after = [entry for entry in entries if entry["n"] > told.approved[gate]]
        assert writes(before, scope, *FIRST_MODELS) == [], f"{scope} before {gate}"
        assert writes(after, scope, *FIRST_MODELS), f"{scope} after {gate}"


def test_all_that_is_ever_written_to_production_is_an_endpoint_or_a_deployment(
    pipeline: Pipeline, stories: Stories
) -> None:
    """No asset, no datastore, no job: so that the names in the paths account for every write."""
    stories.second.result(WITHIN_SECONDS)
    found = [entry for entry in pipeline.azure_ml() if entry["scope"] == "mlw-prod" and entry["kind"] != "read"]
    kinds = Counter((entry["method"], entry["operation"], entry["identity"]) for entry in found)
    assert set(kinds) == {("PUT", "endpoints.put", "app"), ("PUT", "deployments.put", "app")}
    assert all("/batchEndpoints/be-" in entry["path"] for entry in found)


def test_the_default_moves_only_after_every_deployment_stands(pipeline: Pipeline, told: Told) -> None:
    """D11: each endpoint is made without a default, then all are staged, then all are switched."""
    entries = [e for e in pipeline.azure_ml(told.approved[PRODUCTION_GATE]) if e["n"] <= told.ended]
    made = [e for e in entries if e["scope"] == "mlw-prod" and e["kind"] == "write" and _is_about(e, FIRST_MODELS)]
    assert [e["operation"] for e in made] == ["endpoints.put"] * 3 + ["deployments.put"] * 3 + ["endpoints.put"] * 3


def _is_about(found: Json, names: tuple[str, ...]) -> bool:
    return any(name in found["path"] for name in names)


def test_each_fan_out_sends_three_messages(pipeline: Pipeline, told: Told) -> None:
    """R3: one message per circuit to the queue of its stage, and no second one."""
    sent = Counter(
        (entry["queue"], phase)
        for entry in pipeline.service_bus()
        if entry["op"] == "send" and (phase := _first_look(entry["message_id"], "20251210.1"))
    )
    assert sent == {
        ("promotion", "inspecting"): 3,
        ("promotion", "promoting"): 3,
        ("deployment", "deploying_test"): 3,
        ("smoke-test", "smoke_testing"): 3,
        ("deployment", "activating_test"): 3,
        ("deployment", "locking"): 3,
        ("deployment", "staging"): 3,
        ("deployment", "activating"): 3,
    }


def _first_look(message_id: str, release_id: str) -> str:
    """The phase of a circuit's first message in it; empty for all others."""
    match message_id.split("|"):
        case [release, "1", _stage, _plant, _circuit, phase, "0", "r0"] if release == release_id:
            return phase
        case _:
            return ""


def test_the_second_release_freezes_and_tags_the_first_as_previous(
    pipeline: Pipeline, stories: Stories, estate_later: Json
) -> None:
    """R36, R37, R40: previous_deployment is the first release's, which stays where it was."""
    stories.second.result(WITHIN_SECONDS)
    second = pipeline.release("20251210.2")
    assert second
    assert {circuit["previous_deployment"] for circuit in second["circuits"]} == {FIRST}
    for name in FIRST_MODELS:
        endpoint = estate_later["production"][name]
        assert endpoint["default"] == SECOND
        assert sorted(endpoint["deployments"]) == [FIRST, SECOND]
        assert endpoint["deployments"][SECOND]["tags"]["previous_deployment"] == FIRST
        assert endpoint["deployments"][FIRST]["tags"]["previous_deployment"] == ""
        assert sorted(model["version"] for model in estate_later["registry"][name]) == ["20251210-1", "20251210-2"]


def test_registry_models_are_found_by_release_and_by_cutoff_date(estate_later: Json) -> None:
    """R16: among all versions that the real client lists, each tag leads to exactly its own."""
    listed = [
        (name, model["version"], model["tags"]) for name in FIRST_MODELS for model in estate_later["registry"][name]
    ]

    def found(tag: str, value: str) -> set[tuple[str, str]]:
        return {(name, version) for name, version, tags in listed if tags[tag] == value}

    assert found("release_id", "20251210.1") == {(name, "20251210-1") for name in FIRST_MODELS}
    assert found("release_id", "20251210.2") == {(name, "20251210-2") for name in FIRST_MODELS}
    assert {(name, "20251210-1") for name in FIRST_MODELS} <= found("cutoff_date", "2025-11-01")
    assert found("cutoff_date", "2025-10-01") == set()


def test_the_first_release_is_untouched_by_the_second(estate: Json, estate_later: Json) -> None:
    """D12: a release's own Registry version and deployments are never rewritten."""
    for name in FIRST_MODELS:
        assert [m for m in estate_later["registry"][name] if m["version"] == "20251210-1"] == estate["registry"][name]
        for stage in ("test", "production"):
            before, after = estate[stage][name]["deployments"], estate_later[stage][name]["deployments"]
            assert after[FIRST] == before[FIRST]


def test_the_circuit_tells_what_has_been_live_since_when(pipeline: Pipeline, stories: Stories) -> None:
    """The ledger's chain of previous deployments is unbroken, newest first or last, in both environments."""
    stories.second.result(WITHIN_SECONDS)
    found: dict[str, Any] = pipeline.call("GET", "/api/circuits/PLANT001/CIRCUIT01").json()
    for environment in ("test", "production"):
        assert found[environment]["want"] == SECOND
        chain = {row["deployment"]: row["previous"] for row in found[environment]["ledger"]}
        assert chain == {FIRST: "", SECOND: FIRST}, json.dumps(found)


def test_people_are_told_by_mail_and_by_card(pipeline: Pipeline, release: Json) -> None:
    """R54: each approver gets a link of her own for each gate; operators hear of the end; the card has no such link."""
    for gate in (REGISTRY_GATE, PRODUCTION_GATE):
        invited = pipeline.invitations(release["release_id"], gate)
        assert set(invited) == {"ada@example.org", "grace@example.org"}
        assert len({invitation.link for invitation in invited.values()}) == 2
    assert ("ops@example.org",) in {mail.to for mail in pipeline.mails_about(release["release_id"], "live")}
    cards = exchange("GET", f"{pipeline.stack.teams_inbox_url}/api/cards").text
    assert release["release_id"] in cards
    assert "/approvals/" not in cards
