"""The worker is killed in the middle of a release: nothing is lost, and nothing is done twice."""

import os
import signal
from collections import Counter

import psutil
import pytest

from tests.support.pipeline import (
    AT_PRODUCTION_GATE,
    AT_REGISTRY_GATE,
    PRODUCTION_GATE,
    REGISTRY_GATE,
    Pipeline,
    circuit_in,
)
from tests.support.stories import ORDINARY, VALIDATED, WITHIN_SECONDS, Stories, make_quick
from tests.support.waiting import wait_until
from tests.support.wire import exchange

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]

WORKER = "local.functions_host.worker"
SLOW_SWITCH_SECONDS = 3.0
"""Long enough to be seen, and killed, in the middle."""
ACTIVATE_LIMIT_SECONDS = 6.0
ENDPOINT_OF_VALIDATED = "be-plant103-circuit02"


def kill_worker(pipeline: Pipeline) -> int:
    """End the process that runs the app's code, without a warning; waits for the next one."""
    host = psutil.Process(pipeline.process_of("app"))
    (victim,) = [child for child in host.children() if WORKER in child.cmdline()]
    os.kill(victim.pid, signal.SIGKILL)

    def successor() -> int | None:
        others = [c.pid for c in host.children() if c.pid != victim.pid and WORKER in " ".join(c.cmdline())]
        status = exchange("GET", f"{pipeline.stack.app_url}/admin/host/status").status
        return others[0] if others and status == 200 else None

    return wait_until(successor, "a new worker runs")


def test_a_release_survives_killed_workers(pipeline: Pipeline, stories: Stories) -> None:
    """Kill -9 while it promotes, tests, stages and activates: it succeeds, all new, with one of everything."""
    stories.all_told()
    before = pipeline.azure_ml_position()
    release_id = pipeline.start(ORDINARY, VALIDATED)
    pipeline.wait_phase(release_id, AT_REGISTRY_GATE)
    pipeline.answer(release_id, REGISTRY_GATE)
    pipeline.wait_phase(release_id, "promoting", "testing")
    kill_worker(pipeline)
    wait_until(lambda: "smoke_testing" in phases(pipeline, release_id), "a smoke test runs")
    kill_worker(pipeline)
    pipeline.wait_phase(release_id, AT_PRODUCTION_GATE)
    make_quick(pipeline, endpoint_update=SLOW_SWITCH_SECONDS)
    pipeline.answer(release_id, PRODUCTION_GATE)
    kill_worker(pipeline)
    wait_until(lambda: "activating" in phases(pipeline, release_id), "a default is being switched")
    kill_worker(pipeline)
    release = pipeline.wait_phase(release_id, "succeeded")
    make_quick(pipeline)

    new = f"deployment-{release_id.replace('.', '-')}"
    for name in (ORDINARY, VALIDATED):
        circuit = circuit_in(release, name)
        assert (circuit["phase"], circuit["deployment"]) == ("live", new)
    assert pipeline.live_defaults(ORDINARY, VALIDATED) == dict.fromkeys((ORDINARY, VALIDATED), new)
    written = [e for e in pipeline.azure_ml(before) if e["kind"] == "write" and e["status"] < 300]
    kinds = Counter(entry["operation"] for entry in written)
    assert kinds["jobs.invoke"] == 2, "one smoke job per circuit"
    assert kinds["registry.models.put"] == 2, "one model per circuit"
    assert kinds["deployments.put"] == 4, "one deployment per circuit in Test, one in Production"
    assert pipeline.queues()["deployment"]["dead_letter"] == 0


def phases(pipeline: Pipeline, release_id: str) -> set[str]:
    """Where the release's circuits stand."""
    release = pipeline.release(release_id)
    assert release
    return {circuit["phase"] for circuit in release["circuits"]}


def test_killed_while_it_activates_a_release_that_can_not_switch_everything_is_all_old(pipeline: Pipeline) -> None:
    """D11: one default is refused until its deadline; what was switched is put back and read again, and a table says so."""
    old = pipeline.live_defaults(ORDINARY, VALIDATED)
    assert all(old.values()), "the release before made both live"
    release_id = pipeline.start(ORDINARY, VALIDATED)
    for gate, phase in ((REGISTRY_GATE, AT_REGISTRY_GATE), (PRODUCTION_GATE, AT_PRODUCTION_GATE)):
        pipeline.wait_phase(release_id, phase)
        if gate == PRODUCTION_GATE:
            pipeline.change_policy(release_id, activate_limit=ACTIVATE_LIMIT_SECONDS)
            refuse_switches(pipeline, ENDPOINT_OF_VALIDATED)
        pipeline.answer(release_id, gate)
    wait_until(lambda: phases(pipeline, release_id) & {"activating", "live"}, "defaults are being switched")
    kill_worker(pipeline)
    release = pipeline.wait_phase(release_id, "failed")
    exchange("DELETE", f"{pipeline.stack.azure_ml.admin_url}/faults")

    assert phases(pipeline, release_id) == {"restored"}
    assert pipeline.live_defaults(*old) == old
    new = f"deployment-{release_id.replace('.', '-')}"
    rows = [line.split()[:4] for line in release["summary"].splitlines() if line.strip().startswith("PLANT")]
    assert [row for row in rows if new in row] == [[name, was, new, was] for name, was in sorted(old.items())]


def refuse_switches(pipeline: Pipeline, endpoint: str) -> None:
    """Production's service says no to every change of this endpoint."""
    pipeline.fault(
        match={"method": "PUT", "path_regex": f"workspaces/mlw-prod/batchEndpoints/{endpoint}$"},
        action="status",
        status=400,
        count=None,
    )
