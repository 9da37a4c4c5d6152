"""`plan_release`: from an understood artifact to the rows a release starts from."""

from datetime import timedelta

import pytest

from shared.application.ports import Naming
from shared.domain.errors import InvalidManifest
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, Release, ReleasePhase
from shared.domain.plan import Manifest, RequestedCircuit, plan_release
from shared.domain.policy import Policy
from tests.support.builders import CIRCUIT, NOW, OTHER_CIRCUIT, RELEASE_ID

POLICY = Policy(poll=timedelta(seconds=3))


def planned(*circuits: Circuit, naming: Naming | None = None, **fields: str) -> tuple[Release, tuple[CircuitRun, ...]]:
    requested = tuple(RequestedCircuit(circuit=circuit, cutoff_date="2025-11-01", **fields) for circuit in circuits)
    manifest = Manifest(release_id=RELEASE_ID, build_id="12345", circuits=requested, warnings=("careful",))
    return plan_release(
        manifest,
        naming=naming or Naming(),
        policy=POLICY,
        at=NOW,
        manifest_sha256="sha",
        manifest_blob="blob",
        artifact_path="path",
    )


def test_a_release_starts_inspecting_with_everything_it_came_with() -> None:
    """R2: ids; the policy is frozen; warnings are kept for the gates."""
    release, runs = planned(CIRCUIT, OTHER_CIRCUIT)
    assert (release.release_id, release.build_id, release.seq) == (RELEASE_ID, "12345", 20251210000001)
    assert (release.phase, release.total, release.policy) == (ReleasePhase.INSPECTING, 2, POLICY)
    assert (release.warnings, release.artifact_path) == (("careful",), "path")
    assert release.due_at is not None
    assert [run.circuit for run in runs] == [CIRCUIT, OTHER_CIRCUIT]


def test_a_run_carries_the_names_it_will_use() -> None:
    """R14, R19, R20, D1, D12."""
    _, (run,) = planned(CIRCUIT, model_version="7", change_type="training")
    assert (run.model_name, run.model_version) == ("plant001-circuit01", "20251210-1")
    assert (run.endpoint, run.deployment) == ("be-plant001-circuit01", "deployment-20251210-1")
    assert (run.requested_version, run.change_type, run.phase) == ("7", "training", CircuitPhase.INSPECTING)


def test_endpoints_are_named_per_environment() -> None:
    """D2: the template of each."""
    naming = Naming(test_endpoint="bt-{plant}-{circuit}", production_endpoint="be-{plant}-{circuit}")
    _, (run,) = planned(Circuit(plant_id="P_1", circuit_id="C"), naming=naming)
    assert (run.test_endpoint, run.endpoint) == ("bt-p-1-c", "be-p-1-c")


def test_an_empty_artifact_has_nothing_to_do_and_has_ended() -> None:
    """Shape C: recorded, nobody is asked."""
    release, runs = planned()
    assert release.phase is ReleasePhase.NOTHING_TO_DO
    assert release.is_terminal
    assert (release.due_at, release.ended_at, runs) == (None, NOW, ())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Circuit(plant_id="PLANT1-A", circuit_id="B"), Circuit(plant_id="PLANT1", circuit_id="A-B")),
        (Circuit(plant_id="PLANT1", circuit_id="A_B"), Circuit(plant_id="PLANT1", circuit_id="A-B")),
        (Circuit(plant_id="PLANT1", circuit_id="a"), Circuit(plant_id="plant1", circuit_id="A")),
    ],
)
def test_circuits_that_share_an_endpoint_name_are_refused_together(first: Circuit, second: Circuit) -> None:
    """Both are named: neither has the better right."""
    with pytest.raises(InvalidManifest, match="endpoint name") as refused:
        planned(CIRCUIT, first, second)
    assert str(first) in str(refused.value)
    assert str(second) in str(refused.value)
    assert str(CIRCUIT) not in str(refused.value)


def test_a_collision_in_one_environment_is_enough() -> None:
    """Test's template may forget what Production's tells apart."""
    naming = Naming(test_endpoint="be-{plant}", production_endpoint="be-{plant}-{circuit}")
    with pytest.raises(InvalidManifest, match="be-plant001"):
        planned(CIRCUIT, OTHER_CIRCUIT, naming=naming)
