"""Writes a scikit-learn model as a directory in the MLflow model format, without MLflow.

The layout follows MLflow's documentation of the format: https://mlflow.org/docs/latest/ml/model/
"""

import json
import platform
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cloudpickle
import yaml

from local.samples import oddities
from local.samples.training import CATEGORY, NUMBERS

FORMAT_VERSION = "2.22.0"
PACKAGES = ("cloudpickle", "numpy", "pandas", "scikit-learn")


def write_model(pipeline: Any, directory: Path, *, seed: str) -> None:
    """Write MLmodel, model.pkl and the environment files; the same seed gives the same model_uuid."""
    directory.mkdir(parents=True)
    cloudpickle.register_pickle_by_value(oddities)
    (directory / "model.pkl").write_bytes(cloudpickle.dumps(pipeline))
    _write_yaml(directory / "MLmodel", _mlmodel(uuid.uuid5(uuid.NAMESPACE_URL, seed)))
    pinned = [f"{package}=={version(package)}" for package in PACKAGES]
    (directory / "requirements.txt").write_text("\n".join(pinned) + "\n", encoding="utf-8")
    _write_yaml(
        directory / "python_env.yaml",
        {
            "python": platform.python_version(),
            "build_dependencies": ["pip"],
            "dependencies": ["-r requirements.txt"],
        },
    )
    python = f"python={platform.python_version()}"
    _write_yaml(
        directory / "conda.yaml",
        {"channels": ["conda-forge"], "dependencies": [python, "pip", {"pip": pinned}], "name": "mlflow-env"},
    )


def _mlmodel(model_uuid: uuid.UUID) -> dict[str, Any]:
    return {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
                "python_version": platform.python_version(),
            },
            "sklearn": {
                "code": None,
                "pickled_model": "model.pkl",
                "serialization_format": "cloudpickle",
                "sklearn_version": version("scikit-learn"),
            },
        },
        "mlflow_version": FORMAT_VERSION,
        "model_uuid": model_uuid.hex,
        "signature": {"inputs": json.dumps(_inputs()), "outputs": json.dumps(_outputs()), "params": None},
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def _inputs() -> list[dict[str, Any]]:
    numbers = [{"type": "double", "name": name, "required": True} for name in NUMBERS]
    return [*numbers, {"type": "string", "name": CATEGORY, "required": True}]


def _outputs() -> list[dict[str, Any]]:
    return [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
