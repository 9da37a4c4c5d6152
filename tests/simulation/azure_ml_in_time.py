"""Azure ML in virtual time: operations that take as long as the weather says, and sometimes fail or never end."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from shared.application.ports import PromotedModel, ProvisioningState
from shared.domain.log_lines import LogLine
from shared.domain.model import Circuit, Environment
from tests.simulation.engine import Engine
from tests.simulation.faults import Weather
from tests.support.fake_models import FakeModels, JobPlan, _Settling

FAILURES: tuple[dict[str, Any], ...] = (
    {"statuses": ("Failed",)},
    {"error_lines": (LogLine(file="user_logs/std_log.txt", line=3, text="ValueError: NaN"),)},
    {"predictions": None},
)
"""How a job does not do what it has to: it says so, only its log does, or it leaves nothing."""
ENDLESS = timedelta(hours=26)


class SimModels(FakeModels):
    """`ModelGateway`."""

    def __init__(self, engine: Engine, weather: Weather, *, honours_names: bool) -> None:
        super().__init__(clock=engine)
        self._engine = engine
        self._weather = weather
        self._honours_names = honours_names

    def _enter(self, method: str, **args: object) -> None:
        """No journal: the invariants look at every write."""

    def _operation(self) -> _Settling:
        time, failed = self._time(5, 60), False
        if self._weather.is_bad():
            failed = self._engine.chance(self._weather.faults.failing)
        ends = ProvisioningState.FAILED if failed else ProvisioningState.SUCCEEDED
        failure = "the operation was cancelled by the platform" if failed else ""
        return _Settling(looks=0, ready_at=self._engine.now() + time, ends=ends, failure=failure)

    def _time(self, least: float, most: float) -> timedelta:
        if self._weather.is_bad():
            if self._engine.chance(self._weather.faults.endless):
                return ENDLESS
            if self._engine.chance(self._weather.faults.slow):
                return self._engine.seconds(60, 1500)
        if self._weather.faults.quick:
            return self._engine.seconds(1, 4)
        return self._engine.seconds(least, most)

    def set_default(self, environment: Environment, endpoint: str, deployment: str) -> None:
        super().set_default(environment, endpoint, deployment)
        self._drag_on(environment, endpoint)

    def clear_default(self, environment: Environment, endpoint: str) -> None:
        super().clear_default(environment, endpoint)
        self._drag_on(environment, endpoint)

    def _drag_on(self, environment: Environment, endpoint: str) -> None:
        """This switch takes about as long as an activation or a restore may."""
        if self._weather.is_bad() and self._engine.chance(self._weather.faults.stubborn):
            settling = self._endpoints[environment, endpoint].settling
            settling.ready_at = self._engine.now() + self._engine.seconds(420, 780)

    def promote(
        self, *, name: str, source_version: str, version: str, tags: Mapping[str, str], mode: str
    ) -> PromotedModel:
        """`share` can't set tags: they follow in a write of their own (D7), before which the process may die."""
        call = partial(super().promote, name=name, source_version=source_version, version=version, mode=mode)
        if mode == "share" and (name, version) not in self._registry:
            call(tags={})
            self._weather.after("models", "promote", None)
            self._weather.before("models", "promote")
        return call(tags=tags)

    def plan_next_job(self, circuit: Circuit) -> None:
        failed = self._weather.is_bad() and self._engine.chance(self._weather.faults.failing)
        plan = JobPlan(statuses=("Completed",), takes=self._time(30, 400), honour_name=self._honours_names)
        self.plan_job(circuit, replace(plan, **self._engine.random.choice(FAILURES)) if failed else plan)

    def start_smoke_job(self, *, endpoint: str, deployment: str, circuit: Circuit, job_name: str):  # noqa: ANN201
        self.plan_next_job(circuit)
        return super().start_smoke_job(endpoint=endpoint, deployment=deployment, circuit=circuit, job_name=job_name)
