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
from tests.support.stories import ORDINARY, WITHIN_SECONDS, Stories
from tests.support.waiting import wait_until
from tests.support.wire import exchange

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]

WORKER = "local.functions_host.worker"


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
    """Kill -9 while it promotes, while it tests and while it stages: it succeeds, with one of everything."""
    stories.all_told()
    before = pipeline.azure_ml_position()
    release_id = pipeline.start(ORDINARY)
    pipeline.wait_phase(release_id, AT_REGISTRY_GATE)
    pipeline.answer(release_id, REGISTRY_GATE)
    pipeline.wait_phase(release_id, "promoting", "testing")
    kill_worker(pipeline)
    wait_until(lambda: look(pipeline, release_id) == "smoke_testing", "the smoke test runs")
    kill_worker(pipeline)
    pipeline.wait_phase(release_id, AT_PRODUCTION_GATE)
    pipeline.answer(release_id, PRODUCTION_GATE)
    kill_worker(pipeline)
    release = pipeline.wait_phase(release_id, "succeeded")

    circuit = circuit_in(release, ORDINARY)
    assert circuit["phase"] == "live"
    assert circuit["deployment"] == f"deployment-{release_id.replace('.', '-')}"
    kinds = Counter(
        entry["operation"] for entry in pipeline.azure_ml(before) if entry["kind"] == "write" and entry["status"] < 300
    )
    assert kinds["jobs.invoke"] == 1, "one smoke job"
    assert kinds["registry.models.put"] == 1, "one model"
    assert kinds["deployments.put"] == 2, "one deployment in Test, one in Production"
    assert pipeline.queues()["deployment"]["dead_letter"] == 0


def look(pipeline: Pipeline, release_id: str) -> str:
    """The phase of the release's only circuit."""
    release = pipeline.release(release_id)
    assert release
    phase: str = release["circuits"][0]["phase"]
    return phase
