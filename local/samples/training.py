"""Trains one circuit's model: a linear forecast of the return temperature, in a second's fraction."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from local.samples.sensors import MODES, TARGET, readings

NUMBERS = ("supply_temperature_c", "outdoor_temperature_c", "flow_m3_h")
CATEGORY = "operating_mode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted pipeline, how well it did on the days it had not seen, and what its training said."""

    pipeline: Pipeline
    metrics: dict[str, float]
    log: tuple[str, ...]


def train(circuit: str, *, cutoff: date, alpha: float = 1.0, knows_flushing: bool = True) -> Trained:
    """Fit on the sixty days before the cutoff, measure on the last ten of them.

    A model that never saw the circuit being flushed refuses data that show it: the encoder raises on a
    category it does not know.
    """
    table = readings(circuit, until=cutoff, days=60)
    modes = MODES if knows_flushing else MODES[:-1]
    log = [f"INFO {len(table)} hours of {circuit}, data until {cutoff}"]
    kept = table[table[CATEGORY].isin(modes)]
    if len(kept) < len(table):
        log.append(
            f"WARNING {len(table) - len(kept)} hours left out: their operating mode is none of {', '.join(modes)}"
        )
    table = kept
    fitted, unseen = table.iloc[: -24 * 10], table.iloc[-24 * 10 :]
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list(NUMBERS)),
            ("mode", OneHotEncoder(categories=[list(modes)], handle_unknown="error"), [CATEGORY]),
        ]
    )
    pipeline = Pipeline([("columns", columns), ("ridge", Ridge(alpha=alpha))])
    pipeline.fit(fitted.drop(columns=TARGET), fitted[TARGET])
    predicted = pipeline.predict(unseen.drop(columns=TARGET))
    error = np.asarray(unseen[TARGET]) - predicted
    metrics = {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(mean_absolute_error(unseen[TARGET], predicted)),
        "r2": float(r2_score(unseen[TARGET], predicted)),
    }
    log.append(f"INFO fitted on {len(fitted)} hours, rmse {metrics['rmse']:.4f} on the other {len(unseen)}")
    return Trained(pipeline=pipeline, metrics=metrics, log=tuple(log))
