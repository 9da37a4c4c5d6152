"""Use cases: may a circuit go back to this deployment? One answer for the request, the page and the step (R42)."""

from dataclasses import dataclass

from shared.application.live import is_other_circuits
from shared.application.locks import ACCEPTED, IMPORTED
from shared.application.ports import Deployment, Ports, ProvisioningState
from shared.domain.model import Circuit, Environment
from shared.domain.naming import model_name


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """A deployment as it was looked at; without a problem it can serve its circuit."""

    deployment: Deployment | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysBack:
    """Of one circuit's endpoint."""

    ports: Ports
    environment: Environment
    circuit: Circuit
    endpoint: str

    def look_at(self, name: str) -> WayBack:
        """Does this deployment exist, can it serve, is it this circuit's? One call of Azure ML."""
        found = self.ports.models.deployment(self.environment, self.endpoint, name)
        return WayBack(deployment=found, problem=self._problem(name, found))

    def _problem(self, name: str, found: Deployment | None) -> str:
        if found is None:
            return f"{name} does not exist on {self.endpoint}"
        if found.state is not ProvisioningState.SUCCEEDED:
            return f"{name} on {self.endpoint} is {found.state}, it can't serve"
        ours = model_name(self.circuit)
        if is_other_circuits(found, ours) and not self._came_from_elsewhere(name):
            return f"{name} runs {found.model_id}, which is not {ours}"
        return ""

    def _came_from_elsewhere(self, name: str) -> bool:
        """R59: what was live before us, or what an operator accepted, may run a model of any name."""
        ledger = self.ports.endpoints.ledger(self.environment, self.circuit)
        return any(row.deployment == name and row.release_id in {IMPORTED, ACCEPTED} for row in ledger)
