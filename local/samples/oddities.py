"""Models that misbehave on their test data, each in one way, for the stories that are about it.

They are pickled by value, so the machine that scores needs nothing of this package.
"""

import time
from typing import Any

import numpy as np

WARM_FROM_C = 45.0
UNHURRIED_SECONDS = 10


class NeverEnds:
    """Scores for ever."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """Never returns."""
        while len(data) >= 0:
            time.sleep(1)


class TakesItsTime:
    """Answers as trained, after a while."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """All predictions, late."""
        time.sleep(UNHURRIED_SECONDS)
        return self.pipeline.predict(data)


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


class AnswersNan:
    """Does not know every second row."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """Numbers and NaN in turn."""
        answers = np.array(self.pipeline.predict(data), dtype=float)
        answers[1::2] = np.nan
        return answers


class AnswersTheSame:
    """Whatever it is asked."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """One number for all rows."""
        return np.full(len(data), self.pipeline.predict(data)[0])


class MarksRowsFailed:
    """Catches its own exceptions, and says so row by row."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, data: Any) -> Any:
        """A table of predictions and statuses; the last row has failed."""
        answers = self.pipeline.predict(data)
        status = ["succeeded"] * (len(answers) - 1) + ["failed"]
        return np.column_stack([answers.astype(str), status])
