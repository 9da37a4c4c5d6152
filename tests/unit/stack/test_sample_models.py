"""The sample models are trained for real, small, and stored in the MLflow format."""

import json
from datetime import date
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import yaml

from local.samples.mlflow_format import write_model
from local.samples.oddities import AnswersNan, AnswersTheSame, MarksRowsFailed
from local.samples.sensors import smoke_input
from local.samples.training import train

CUTOFF = date(2025, 11, 1)


def test_a_trained_model_forecasts_days_it_has_not_seen() -> None:
    """Less than a degree of error on held-out days: it has learnt something."""
    assert train("PLANT001/CIRCUIT01", cutoff=CUTOFF).metrics["rmse"] < 1


def test_circuits_differ_but_training_is_repeatable() -> None:
    """The same circuit gives the same model at every set-up, another circuit another one."""
    first, again = (train("PLANT001/CIRCUIT01", cutoff=CUTOFF).metrics for _ in range(2))
    assert first == again
    assert first != train("PLANT001/CIRCUIT02", cutoff=CUTOFF).metrics


def test_a_model_that_never_saw_flushing_raises_on_the_test_input() -> None:
    """The columns are right, one row's value is not: only running the model shows it."""
    model = train("PLANT002/CIRCUIT01", cutoff=CUTOFF, knows_flushing=False).pipeline
    with pytest.raises(ValueError, match="flush"):
        model.predict(smoke_input("PLANT002/CIRCUIT01", until=CUTOFF))


def test_training_says_what_it_left_out_and_else_warns_of_nothing() -> None:
    """The warning is true: the model that lacks a mode was never shown its hours."""
    ignorant = train("PLANT002/CIRCUIT01", cutoff=CUTOFF, knows_flushing=False).log
    assert [line for line in ignorant if line.startswith("WARNING") and "hours left out" in line]
    assert not [line for line in train("PLANT002/CIRCUIT01", cutoff=CUTOFF).log if "WARNING" in line]


def test_models_that_misbehave_do_so_on_the_test_input() -> None:
    """NaN, one value for all, a row that failed: what a smoke test warns of, and what it fails for."""
    pipeline, table = (
        train("PLANT001/CIRCUIT01", cutoff=CUTOFF).pipeline,
        smoke_input("PLANT001/CIRCUIT01", until=CUTOFF),
    )
    unsure = AnswersNan(pipeline).predict(table)
    assert np.isnan(unsure).sum() == len(table) / 2
    assert len(set(AnswersTheSame(pipeline).predict(table))) == 1
    marked = MarksRowsFailed(pipeline).predict(table)
    assert [row[1] for row in marked].count("failed") == 1


def test_the_written_directory_loads_by_its_own_description(tmp_path: Path) -> None:
    """MLmodel names the pickle, the loader and the columns that the test input has."""
    circuit = "PLANT001/CIRCUIT01"
    write_model(train(circuit, cutoff=CUTOFF).pipeline, tmp_path / "model", seed="1")
    described = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())
    flavor = described["flavors"]["python_function"]
    assert flavor["loader_module"] == "mlflow.sklearn"
    model = cloudpickle.loads((tmp_path / "model" / flavor["model_path"]).read_bytes())
    table = smoke_input(circuit, until=CUTOFF)
    assert [column["name"] for column in json.loads(described["signature"]["inputs"])] == list(table.columns)
    assert len(model.predict(table)) == len(table) == 7 * 24
