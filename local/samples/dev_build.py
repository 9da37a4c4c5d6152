"""What a training build leaves in the Dev workspace: per circuit the right model among others that are not.

Pure planning; `seed` carries it out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum


class Trait(StrEnum):
    """What is special about one circuit's models in a build."""

    ORDINARY = "ordinary"
    RAISES_ON_ITS_DATA = "raises-on-its-data"
    NEVER_VALIDATED = "never-validated"
    NEVER_ENDS = "never-ends"
    LOGS_ERRORS = "logs-errors"
    WRITES_NOTHING = "writes-nothing"
    WRITES_WORDS = "writes-words"
    TAKES_ITS_TIME = "takes-its-time"
    ANSWERS_NAN = "answers-nan"
    ANSWERS_THE_SAME = "answers-the-same"
    MARKS_ROWS_FAILED = "marks-rows-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltCircuit:
    """One circuit of the build."""

    plant_id: str
    circuit_id: str
    cutoff_date: date
    trait: Trait = Trait.ORDINARY

    @property
    def model_name(self) -> str:
        return f"{self.plant_id}-{self.circuit_id}".lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class DevModel:
    """One model version as training registers it; `validated` None means: without that tag."""

    circuit: BuiltCircuit
    build_id: str
    cutoff_date: date
    validated: str | None
    alpha: float
    knows_flushing: bool = True
    trait: Trait = Trait.ORDINARY
    """How the finished model behaves when it is asked."""
    tags: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", _tags(self))


def _tags(model: DevModel) -> dict[str, str]:
    circuit = model.circuit
    tags = {
        "cutoff_date": model.cutoff_date.isoformat(),
        "data_asset_name": f"{circuit.plant_id}_{circuit.circuit_id}",
        "data_asset_version": model.cutoff_date.isoformat(),
        "build_id": model.build_id,
        "component_version": "1.4.0",
        "plant_id": circuit.plant_id,
        "circuit_id": circuit.circuit_id,
    }
    return tags if model.validated is None else tags | {"validated": model.validated}


def dev_models(circuits: Iterable[BuiltCircuit], build_id: str) -> list[DevModel]:
    """The build's model versions, oldest first; the right one of a circuit is never its newest."""
    return [model for circuit in circuits for model in _models_of(circuit, build_id)]


def _models_of(circuit: BuiltCircuit, build_id: str) -> list[DevModel]:
    def model(
        *,
        validated: str | None,
        alpha: float,
        earlier_days: int = 0,
        build: str = build_id,
        trait: Trait = Trait.ORDINARY,
    ) -> DevModel:
        return DevModel(
            circuit=circuit,
            build_id=build,
            cutoff_date=circuit.cutoff_date - timedelta(days=earlier_days),
            validated=validated,
            alpha=alpha,
            knows_flushing=trait is not Trait.RAISES_ON_ITS_DATA,
            trait=trait,
        )

    other_cutoff = model(validated="true", alpha=0.5, earlier_days=31)
    other_build = model(validated="true", alpha=0.7, build=f"{build_id}-nightly")
    right = model(validated="true", alpha=1.0, trait=circuit.trait)
    misspelt = model(validated="True", alpha=2.0)
    not_validated = model(validated=None, alpha=3.0)
    if circuit.trait is Trait.NEVER_VALIDATED:
        return [other_cutoff, misspelt, not_validated]
    return [other_cutoff, other_build, right, misspelt, not_validated]
