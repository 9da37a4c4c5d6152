"""What the process of one mini batch does: an MLflow model, loaded without mlflow, over CSV files."""

import csv
import importlib
import json
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import yaml

NUMBERS = frozenset({"double", "float", "integer", "long"})


class Model(Protocol):
    def predict(self, data: pd.DataFrame) -> Any: ...


class UnusableModel(Exception):
    """The model's folder is not what an MLflow model looks like."""


def load_model(folder: Path) -> tuple[Model, Mapping[str, Any]]:
    """The model in a folder (or the one folder below it) and its MLmodel description."""
    described_in = next(iter([*folder.glob("MLmodel"), *folder.glob("*/MLmodel")]), None)
    if described_in is None:
        raise UnusableModel(
            f"There is no MLmodel file in the model's folder; it holds {sorted(one.name for one in folder.iterdir())}."
        )
    root = described_in.parent
    description = yaml.safe_load(described_in.read_text(encoding="utf-8"))
    flavor = description["flavors"]["python_function"]
    if flavor.get("code"):
        sys.path.insert(0, str(root / flavor["code"]))
    name = flavor["loader_module"]
    loader = LOADERS.get(name) or importlib.import_module(name)._load_pyfunc  # noqa: SLF001 - MLflow's own convention
    data = flavor.get("data") or flavor.get("model_path")
    model: Model = loader(str(root / data if data else root))
    return model, description


def _load_sklearn(path: str) -> Model:
    """mlflow.sklearn keeps a pickle; cloudpickle's are read by pickle too."""
    file = Path(path) / "model.pkl" if Path(path).is_dir() else Path(path)
    with file.open("rb") as stream:
        model: Model = pickle.load(stream)  # noqa: S301 - running the model's code is what a scoring job is for
    return model


LOADERS: Mapping[str, Callable[[str], Model]] = {"mlflow.sklearn": _load_sklearn}


def enforce_signature(frame: pd.DataFrame, description: Mapping[str, Any]) -> pd.DataFrame:
    """The columns that the model's signature asks for, in its order, as MLflow hands them to the model.

    Raises:
        ValueError: a column is missing, or not of the type that the signature says.
    """
    inputs = json.loads((description.get("signature") or {}).get("inputs") or "[]")
    columns = {one["name"]: one for one in inputs if "name" in one}
    if not columns:
        return frame
    missing = [name for name, one in columns.items() if one.get("required", True) and name not in frame]
    if missing:
        raise ValueError(f"The input lacks columns that the model's signature asks for: {missing}.")
    chosen = frame[[name for name in columns if name in frame]]
    for name in chosen:
        if columns[name]["type"] in NUMBERS and not pd.api.types.is_numeric_dtype(chosen[name]):
            raise ValueError(
                f"Column '{name}' is {chosen[name].dtype}, but the model's signature says {columns[name]['type']}."
            )
    return chosen


def rows_of(predictions: Any, file: str) -> list[list[Any]]:
    """Row number, prediction and file name; a model that returns a table gives all its columns as they are."""
    table = pd.DataFrame(predictions)
    return [[number, *values, file] for number, values in enumerate(table.itertuples(index=False, name=None))]


def score(spec: Mapping[str, Any]) -> None:
    """Score all files of the mini batch and write its rows."""
    model, description = load_model(Path(spec["model"]))
    rows: list[list[Any]] = []
    for name in spec["files"]:
        path = Path(name)
        if path.suffix.lower() != ".csv":
            raise ValueError(f"File '{path.name}' is of a type that cannot be scored; only CSV files can.")
        frame = enforce_signature(pd.read_csv(path), description)
        rows += rows_of(model.predict(frame), path.relative_to(spec["input"]).as_posix())
        print(f"scored {path.name}: {len(frame)} rows in, {len(rows)} rows out so far")
    with Path(spec["output"]).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
