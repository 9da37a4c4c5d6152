"""A release whose every free text means harm: what its build, its models, its job's log and its people wrote."""

import json
from collections.abc import Mapping
from dataclasses import replace

from shared.application.circuit_history import circuit_view
from shared.application.gates import Gates
from shared.application.intake import Intake
from shared.application.ports import Letter
from shared.application.queries import Queries
from shared.application.rollback_preview import Previews
from shared.application.rollbacks import RollbackRequest
from shared.application.views import ApprovalState, ApprovalView, ReleaseQuery, RollbackFormView
from shared.domain.log_lines import LogLine
from shared.domain.model import Circuit, Environment, GateName, ReleasePhase
from shared.domain.naming import model_name
from shared.pages import (
    render_approval,
    render_circuit,
    render_release,
    render_releases,
    render_rollback,
    render_rollback_form,
)
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT
from tests.support.fake_models import JobPlan
from tests.support.pipeline_world import PipelineWorld, dev_tags

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)><a href='https://evil.example'>x</a>\"'></textarea>"
TEMPLATE = "{{ 1234 * 5678 }} {% raw %} ${1234*5678} #{1234*5678} {{DATE(2030-01-01T00:00:00Z)}} {{cycler.__init__}}"
MARKDOWN = (
    "[sign in](https://evil.example) <https://evil.example/a> ![i](https://evil.example/i) [n]: https://evil.example/b"
)
EVILS: Mapping[str, str] = {"markup": MARKUP, "template": TEMPLATE, "markdown": MARKDOWN}
GOOD, EXCLUDED, FAILED = CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT
BEFORE, RELEASE_ID = "20251209.1", "20251210.1"


class HostileRelease:
    """It goes through both gates with one circuit left out, and is rolled back; or, `failing`, ends at a smoke test."""

    def __init__(self, evil: str, *, failing: bool = False) -> None:
        self.evil = evil
        self.world = PipelineWorld()
        self.pages: dict[str, str] = {}
        self.world.release_all(BEFORE, GOOD)
        circuits = (GOOD, EXCLUDED, *((FAILED,) if failing else ()))
        self._start(circuits)
        if failing:
            log = (LogLine(file="logs/user/error.txt", line=1, text=f"ERROR {evil}"),)
            self.world.models.plan_job(FAILED, JobPlan(statuses=("Failed",), error_lines=log, predictions=None))
        self._gate(GateName.REGISTRY, ReleasePhase.AWAITING_REGISTRY_APPROVAL, exclude={str(EXCLUDED): evil})
        if failing:
            self.world.run()
        else:
            self._gate(GateName.PRODUCTION, ReleasePhase.AWAITING_PRODUCTION_APPROVAL)
            self.world.to_phase(ReleasePhase.SUCCEEDED)
            self.world.run()
            self._roll_back()
        self._look()

    def _start(self, circuits: tuple[Circuit, ...]) -> None:
        evil = self.evil
        for circuit in circuits:
            tags = {**dev_tags(circuit, build=evil), f"metric.{evil}": "0.5", evil: evil}
            self.world.models.add_smoke_input(circuit)
            self.world.models.add_dev_model(model_name(circuit), "7", tags, warnings=[evil])
        entries = [
            {"plant_id": c.plant_id, "circuit_id": c.circuit_id, "cutoff_date": "2025-11-01", "change_type": evil}
            | {"commit_sha": evil, "config_path": evil, evil: evil}
            for c in circuits
        ]
        content = {"release_id": RELEASE_ID, "build_id": evil, "requested_by": evil, "commit_sha": evil}
        body = json.dumps({**content, "circuits": entries}).encode()
        path = f"{evil}/changed_circuits.json"
        self.world.evidence.upload(path, body, at=self.world.clock.now())
        Intake(self.world.ports).from_artifact(path, body)

    def _gate(self, gate: GateName, phase: ReleasePhase, **columns: object) -> None:
        self.world.to_phase(phase)
        self.world.run()
        self.pages[f"approval-{gate}"] = render_approval(self.approval(gate))
        self.world.answer(gate, comment=self.evil, **columns)
        decided = replace(self.approval(gate), state=ApprovalState.DECIDED)
        self.pages[f"decided-{gate}"] = render_approval(decided)

    def approval(self, gate: GateName) -> ApprovalView:
        view = Gates(self.world.ports).view(self.world.claim(gate))
        assert view.release is not None
        assert view.gate is not None
        return ApprovalView(
            state=ApprovalState.OPEN,
            release=view.release,
            gate=view.gate,
            evidence=json.loads(view.document),
            now=self.world.clock.now(),
            comment=self.evil,
            exclude={str(GOOD): self.evil},
            problem=self.evil,
            changes=(self.evil,),
        )

    def _roll_back(self) -> None:
        request = RollbackRequest(requested_by=self.evil, reason=self.evil, circuits=(GOOD,))
        self.pages["rollback-form"] = render_rollback_form(
            RollbackFormView(
                about=self.evil,
                preview=Previews(self.world.ports).of(request),
                environment=Environment.PRODUCTION,
                hold_days=14,
                may_confirm=True,
                reason=self.evil,
                problem=self.evil,
            )
        )
        started = self.world.roll_back(GOOD, requested_by=self.evil, reason=self.evil)
        self.world.run()
        self.pages["rollback"] = render_rollback(Queries(self.world.ports).rollback_view(started.rollback_id))
        self.pages["circuit"] = render_circuit(circuit_view(GOOD, None, self.world.ports))

    def _look(self) -> None:
        queries = Queries(self.world.ports)
        self.pages["release"] = render_release(queries.release_view(RELEASE_ID))
        found = queries.releases_view(ReleaseQuery(), limit=50, cursor="")
        self.pages["list"] = render_releases(replace(found, asked=ReleaseQuery(circuit=self.evil, plant=self.evil)))

    @property
    def letters(self) -> list[Letter]:
        """Everything that was written to people, by mail and to the channel."""
        told = [*self.world.mail.letters, *self.world.teams.letters]
        return [letter for letter in told if letter.release.release_id != BEFORE]
