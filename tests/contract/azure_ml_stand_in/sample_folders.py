"""Small model folders in MLflow format, each with its own way to behave."""

import pickle
from pathlib import Path
from textwrap import dedent

import yaml
from sklearn.dummy import DummyRegressor

SIGNATURE = {"inputs": '[{"name": "a", "type": "double"}, {"name": "b", "type": "double"}]'}


def python_model(folder: Path, predict: str) -> Path:
    """A model whose code lies beside it; `predict` is the body of its method."""
    code = folder / "code"
    code.mkdir(parents=True)
    source = f"class Model:\n    def predict(self, data):\n{_indented(predict)}\n\n\ndef _load_pyfunc(path):\n    return Model()\n"
    (code / "own_loader.py").write_text(source)
    flavor = {"loader_module": "own_loader", "code": "code", "python_version": "3.13.0"}
    _describe(folder, {"python_function": flavor})
    return folder


def sklearn_model(folder: Path) -> Path:
    """A fitted scikit-learn model as mlflow.sklearn saves it; it predicts 42."""
    folder.mkdir(parents=True)
    model = DummyRegressor(strategy="constant", constant=42.0).fit([[0.0, 0.0]], [0.0])
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    function = {"loader_module": "mlflow.sklearn", "model_path": "model.pkl", "python_version": "3.13.0"}
    _describe(folder, {"python_function": function, "sklearn": {"pickled_model": "model.pkl"}})
    return folder


def _describe(folder: Path, flavors: dict[str, dict[str, str]]) -> None:
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "signature": SIGNATURE}))


def _indented(body: str) -> str:
    return "\n".join(f"        {line}" for line in dedent(body).strip().splitlines())
