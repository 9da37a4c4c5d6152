"""Models that misbehave on their test data, each in one way, for the stories that are about it.

They are pickled by value, so the machine that scores needs nothing of this package.
"""

import time
from typing import Any

import numpy as np

WARM_FROM_C = 45.0


class NeverEnds:
    """Scores for ever."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """Never returns."""
        while len(data) >= 0:
            time.sleep(1)


class LogsErrors:
    """Predicts, and logs an error that it lives with."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """All predictions."""
        print("2025-12-10 02:00:00,000 ERROR calibration of the flow sensor is missing, its default is used")
        return self.pipeline.predict(data)


class WritesNothing:
    """Predicts for no row at all."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """No prediction."""
        return self.pipeline.predict(data)[:0]


class WritesWords:
    """Answers in words where numbers were promised."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """Warm or cold, row by row."""
        return np.where(self.pipeline.predict(data) >= WARM_FROM_C, "warm", "cold")
