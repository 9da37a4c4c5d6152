"""The document an approver decides on."""

import json
from dataclasses import replace

from shared.application.evidence import attention, canonical_json, changes_between, gate_evidence
from shared.domain.model import CircuitPhase, CircuitRun, GateName
from tests.support.release_samples import (
    CIRCUITS,
    ESTATE,
    a_release,
    a_run,
    inspected_evidence,
    three_runs,
    three_tested,
)


def registry_evidence(*runs: CircuitRun) -> bytes:
    return gate_evidence(GateName.REGISTRY, a_release(), runs or three_runs(), ESTATE)


def with_model(**facts: object) -> CircuitRun:
    """A run whose model says something else in these facts."""
    evidence = inspected_evidence(CIRCUITS[0])
    model = evidence["model"]
    assert isinstance(model, dict)
    return a_run(evidence={**evidence, "model": {**model, **facts}})


def test_the_same_rows_give_the_same_bytes_whatever_their_order() -> None:
    """The digest changes only when the evidence does."""
    assert registry_evidence(*three_runs()) == registry_evidence(*reversed(three_runs()))


def test_another_model_version_gives_other_bytes() -> None:
    """What an approver would want to know is part of the digest."""
    assert registry_evidence(a_run()) != registry_evidence(a_run(source_version="8"))


def test_polls_and_times_of_the_row_are_no_evidence() -> None:
    """Housekeeping must not ask the approver to look again."""
    busy = a_run(poll_n=7, attempt=2, redrive=1, gen=3)
    assert registry_evidence(a_run()) == registry_evidence(busy)


def test_the_first_gate_asks_in_the_documents_words_with_the_releases_names() -> None:
    """R9: ids, instruction, four checklist items, last sentence and the az ml model commands."""
    document = json.loads(registry_evidence())
    asks = document["instructions"]
    assert (document["release_id"], document["build_id"]) == ("20251210.1", "12345")
    assert asks["title"] == "Registry-Approval"
    assert asks["review"] == "Review validated models before promoting to shared registry."
    assert asks["checklist"] == [
        "Review model metrics in Dev Workspace (tag: validated=true)",
        "Check training logs for any warnings",
        "Verify cutoff_date is correct",
        "Review changed_circuits.json artifact",
    ]
    assert asks["closing"] == "Models will be copied from Dev Workspace to Azure ML Registry."
    assert asks["commands"][:2] == [
        "az ml model list --workspace-name mlw-dev --resource-group rg-mlops-dev --tag validated=true --output table",
        "az ml model show --name plant001-circuit01 --version 7 --workspace-name mlw-dev --resource-group rg-mlops-dev",
    ]


def test_the_second_gate_tells_the_test_results_of_each_circuit() -> None:
    """R33 and R34: what was tested, where to review it, job, duration and rows."""
    document = json.loads(
        gate_evidence(GateName.PRODUCTION, a_release(), three_tested(), ESTATE),
    )
    smoke = document["circuits"][0]["smoke"]
    assert document["instructions"]["review"] == "Test inference completed successfully."
    assert "Test workspace (mlw-test) before approving" in document["instructions"]["checklist"][0]
    assert (smoke["status"], smoke["seconds"], smoke["rows"]) == ("Completed", 221, 168)


def test_the_first_gate_shows_nothing_of_an_earlier_test() -> None:
    """A retried release may have tested before; its first gate is about models."""
    circuit = json.loads(registry_evidence(*three_tested()))["circuits"][0]
    assert "smoke" not in circuit


def test_a_circuit_left_out_is_told_with_its_reason() -> None:
    """R58: both gates show what was left out."""
    release = a_release(exclusions={"PLANT001/CIRCUIT01": "waits for a sensor"})
    runs = (a_run(phase=CircuitPhase.EXCLUDED), a_run(CIRCUITS[1]))
    document = json.loads(gate_evidence(GateName.REGISTRY, release, runs, ESTATE))
    assert [circuit["left_out"] for circuit in document["circuits"]] == ["waits for a sensor", ""]
    assert document["on_approve"][0].startswith("1 model is copied")


def test_a_number_that_json_has_no_word_for_becomes_text() -> None:
    """A metric of NaN must not keep the gate from opening."""
    document = json.loads(registry_evidence(with_model(metrics={"rmse": float("nan")})))
    assert document["circuits"][0]["model"]["metrics"] == {"rmse": "nan"}


def test_nothing_is_wrong_with_a_model_in_order() -> None:
    """No attention without a reason for it."""
    assert attention(a_run()) == []


def test_a_validated_tag_that_is_not_exactly_true_is_pointed_out() -> None:
    """R11: `True` is another word."""
    assert attention(with_model(validated="True")) == ["the tag validated is 'True', not 'true'"]


def test_a_worse_metric_is_pointed_out() -> None:
    """Judged by the metric's name; an unknown one is only shown."""
    found = attention(with_model(metrics={"rmse": 0.5, "r2": 0.93, "my_number": 1.0}))
    assert found == ["rmse is worse than the live model's: 0.5, live 0.4312"]


def test_an_older_cutoff_date_than_the_live_one_is_pointed_out() -> None:
    """Going back in time is rarely meant."""
    assert attention(a_run(cutoff_date="2025-09-01")) == [
        "cutoff_date 2025-09-01 is older than the live model's, 2025-10-01"
    ]


def test_schema_findings_training_warnings_and_adoption_are_pointed_out() -> None:
    """R29, R10 and R59 reach the approver."""
    run = three_tested()[1]
    strange = replace(
        run,
        evidence={**run.evidence, "training_warnings": ["loss went up"], "adopted": True},
        warnings=("from a build",),
    )
    found = attention(strange)
    assert found[:3] == ["from a build", "schema: columns extra: confidence", "training log: loss went up"]
    assert "is taken over" in found[3]


def test_evidence_of_unexpected_shape_is_still_evidence() -> None:
    """What a step wrote wrongly must not keep the gate from opening."""
    strange = a_run(evidence={"model": "seven", "live": [], "schema": None, "training_warnings": 3})
    assert json.loads(registry_evidence(strange))["circuits"][0]["attention"] == []


def test_changes_are_told_by_circuit_and_fact() -> None:
    """A 409 says what changed, in words."""
    live = {"deployment": "deployment-20251209-1"}
    changed = a_run(evidence={**inspected_evidence(CIRCUITS[0]), "live": live})
    told = changes_between(registry_evidence(a_run()), registry_evidence(changed))
    assert "PLANT001/CIRCUIT01 live deployment: was deployment-20251203-5, is deployment-20251209-1" in told
    assert changes_between(registry_evidence(), registry_evidence()) == ()


def test_a_long_list_of_changes_is_cut() -> None:
    """Fifty are enough to see that everything changed."""
    old = canonical_json({f"fact {n}": 1 for n in range(80)})
    new = canonical_json({f"fact {n}": 2 for n in range(80)})
    assert len(changes_between(old, new)) == 51
    assert changes_between(old, new)[-1] == "and 30 more changes"


def test_of_changed_sentences_those_are_told_that_came_and_that_went() -> None:
    """No list in the form of JSON on a page for people."""
    old = registry_evidence(a_run(warnings=("the test data is old",)))
    new = registry_evidence(a_run(warnings=("Dev model has other tags now",)))
    assert changes_between(old, new) == (
        "PLANT001/CIRCUIT01 to look at, new: Dev model has other tags now",
        "PLANT001/CIRCUIT01 to look at, gone: the test data is old",
    )
