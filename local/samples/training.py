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
    """A fitted pipeline and how well it did on the days it had not seen."""

    pipeline: Pipeline
    metrics: dict[str, float]


def train(circuit: str, *, cutoff: date, alpha: float = 1.0, knows_flushing: bool = True) -> Trained:
    """Fit on the sixty days before the cutoff, measure on the last ten of them.

    A model that never saw the circuit being flushed refuses data that show it: the encoder raises on a
    category it does not know.
    """
    table = readings(circuit, until=cutoff, days=60)
    modes = MODES if knows_flushing else MODES[:-1]
    table = table[table[CATEGORY].isin(modes)]
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
    return Trained(
        pipeline=pipeline,
        metrics={
            "rmse": float(np.sqrt(np.mean(error**2))),
            "mae": float(mean_absolute_error(unseen[TARGET], predicted)),
            "r2": float(r2_score(unseen[TARGET], predicted)),
        },
    )
