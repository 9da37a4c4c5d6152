"""Use cases: what is live in production for a circuit, as an approver is shown it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.application.ports import Deployment, Endpoint, ModelVersion, Ports
from shared.domain.model import Circuit, CircuitRun, Environment
from shared.domain.naming import endpoint_tags

SOURCE_VERSION = "source_version"
"""The Registry property that names the Dev version a model was copied from (D12)."""
METRIC_PREFIXES = ("metric.", "metric_")
MODEL_ID_NAME = re.compile(r"(?:/models/|^azureml:)([^:/]+)(?:/versions/|:)")
MODEL_ID_VERSION = re.compile(r"(?:/versions/|:)([^:/]+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The production endpoint and its default deployment, where they exist."""

    endpoint: Endpoint | None = None
    deployment: Deployment | None = None

    @property
    def name(self) -> str:
        """The default's name; empty: nothing is live."""
        return self.endpoint.default if self.endpoint else ""

    @property
    def cutoff_date(self) -> str:
        """Empty if nothing is live or it does not say."""
        return self.deployment.tags.get("cutoff_date", "") if self.deployment else ""


def read_live(run: CircuitRun, ports: Ports, endpoint: Endpoint | None) -> Live:
    """Look up the default deployment of the production endpoint as it was just read."""
    if endpoint is None or not endpoint.default:
        return Live(endpoint=endpoint)
    deployment = ports.models.deployment(Environment.PRODUCTION, run.endpoint, endpoint.default)
    return Live(endpoint=endpoint, deployment=deployment)


def live_evidence(
    run: CircuitRun, ports: Ports, live: Live, dev_models: Sequence[ModelVersion]
) -> Mapping[str, object] | None:
    """What an approver compares the new model with; None: nothing is live."""
    if not live.name:
        return None
    tags = live.deployment.tags if live.deployment else {}
    version = model_version_of(live.deployment.model_id) if live.deployment else ""
    return {
        "deployment": live.name,
        "model_version": version,
        "cutoff_date": tags.get("cutoff_date", ""),
        "release_id": tags.get("release_id", ""),
        "metrics": _live_metrics(run, ports, version, dev_models),
    }


def _live_metrics(
    run: CircuitRun, ports: Ports, version: str, dev_models: Sequence[ModelVersion]
) -> Mapping[str, float]:
    """The metrics stand in Dev; the Registry only knows which Dev version it holds."""
    registered = ports.models.registry_model(run.model_name, version) if version else None
    source = registered.properties.get(SOURCE_VERSION, "") if registered else ""
    return next((metrics_of(model) for model in dev_models if model.version == source), {})


def model_version_of(model_id: str) -> str:
    """The version in `azureml://registries/…/models/{name}/versions/{v}`; empty: not a model id we know."""
    found = MODEL_ID_VERSION.search(model_id)
    return found[1] if found else ""


def model_name_of(model_id: str) -> str:
    """The name in such an id; empty: not a model id we know."""
    found = MODEL_ID_NAME.search(model_id)
    return found[1] if found else ""


def is_other_circuits(deployment: Deployment, model_name: str) -> bool:
    """Does it run a model of another name? One that can't be read counts as the circuit's own."""
    return model_name_of(deployment.model_id) not in {"", model_name}


def is_anothers(endpoint: Endpoint, circuit: Circuit) -> bool:
    """Is the endpoint tagged for another circuit? One without our tags is nobody's (R59)."""
    ours = endpoint_tags(circuit)
    return any(endpoint.tags.get(tag, value) != value for tag, value in ours.items())


def metrics_of(model: ModelVersion) -> dict[str, float]:
    """Training metrics, which the build leaves as properties or tags named `metric.rmse` or `metric_rmse`."""
    found: dict[str, float] = {}
    for name, text in {**model.tags, **model.properties}.items():
        prefix = next((p for p in METRIC_PREFIXES if name.startswith(p)), None)
        number = _number(text) if prefix else None
        if prefix and number is not None:
            found[name.removeprefix(prefix)] = number
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
