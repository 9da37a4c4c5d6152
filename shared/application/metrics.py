"""Use cases: how a model's metrics compare with the live one's, in words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

LOWER_IS_BETTER = ("rmse", "mae", "mse", "mape", "smape", "loss", "error", "deviance", "bias")
HIGHER_IS_BETTER = ("r2", "accuracy", "precision", "recall", "f1", "auc", "score", "explained_variance")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """One metric of the new model beside the live model's; None where one of them has no such number."""

    name: str
    new: float | None
    live: float | None
    direction: str
    """`same`, `higher`, `lower`, or empty where there is nothing to compare."""
    verdict: str
    """`better` or `worse` where the metric's name tells, else empty."""

    @property
    def words(self) -> str:
        """For people: `lower, better`."""
        return ", ".join(word for word in (self.direction, self.verdict) if word)


def compare_metrics(new: object, live: object) -> tuple[MetricChange, ...]:
    """All metrics of both models, by name."""
    new_numbers, live_numbers = _numbers(new), _numbers(live)
    names = sorted(new_numbers.keys() | live_numbers.keys())
    return tuple(_change(name, new_numbers.get(name), live_numbers.get(name)) for name in names)


def _change(name: str, new: float | None, live: float | None) -> MetricChange:
    direction = _direction(new, live)
    return MetricChange(name=name, new=new, live=live, direction=direction, verdict=_verdict(name, direction))


def _direction(new: float | None, live: float | None) -> str:
    if new is None or live is None:
        return ""
    if math.isclose(new, live, rel_tol=1e-9):
        return "same"
    return "higher" if new > live else "lower"


def _verdict(name: str, direction: str) -> str:
    wish = _wish(name)
    if not wish or direction not in {"higher", "lower"}:
        return ""
    return "better" if direction == wish else "worse"


def _wish(name: str) -> str:
    """Which direction is good, if the metric's name says so: `val_rmse`, `test.R2`."""
    words = name.lower().replace("-", "_").replace(".", "_").replace(" ", "_")
    if any(known in words for known in LOWER_IS_BETTER):
        return "lower"
    if any(known in words for known in HIGHER_IS_BETTER):
        return "higher"
    return ""


def _numbers(metrics: object) -> dict[str, float]:
    if not isinstance(metrics, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
