"""One circuit of one release with every port faked: what the tests of the steps look at."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from shared.application.ports import Insert, Ports, Update
from shared.application.work import Step, Work
from shared.domain.events import CircuitEvent, StillRunning
from shared.domain.model import Circuit, CircuitPhase, CircuitRun, EndpointLock, Environment, LedgerEntry, Release, ReleasePhase
from shared.domain.naming import deployment_tags, endpoint_tags, registry_tags
from shared.domain.process import decide_circuit, decide_poll
from tests.support.builders import a_release, a_run
from tests.support.clock import ManualClock
from tests.support.fake_models import FakeModels
from tests.support.fakes_state import FakeEndpoints, FakeReleases

CIRCUIT = Circuit(plant_id="PLANT001", circuit_id="CIRCUIT01")
MODEL, ENDPOINT = "plant001-circuit01", "be-plant001-circuit01"
RELEASE, SEQ, DEPLOYMENT, VERSION = "20251210.1", 20251210000001, "deployment-20251210-1", "20251210-1"
CUTOFF, BUILD = "2025-11-01", "12345"
MOST_LOOKS = 200
DEV_TAGS: Mapping[str, str] = {
    "validated": "true",
    "cutoff_date": CUTOFF,
    "build_id": BUILD,
    "data_asset_name": "PLANT001_CIRCUIT01",
    "data_asset_version": CUTOFF,
    "plant_id": "PLANT001",
    "circuit_id": "CIRCUIT01",
}
OLD = "deployment-20251203-5"
