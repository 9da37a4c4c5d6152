"""The Functions app as a whole: which functions it has, what it imports, and that its API document tells of all of it."""

import ast
import json
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from shared.application.gates import Standing
from shared.application.votes import APPROVE, REJECT
from shared.domain.model import CircuitPhase, GateName, GateState, ReleasePhase
from tests.support.function_list import listing, routes

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "shared" / "triggers" / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
API = ("/api/", "/approvals/")
"""Where the API is; everything else is pages, and what belongs to them."""
METHODS = frozenset({"get", "post", "put", "patch", "delete"})


def test_the_functions_are_those_of_the_list() -> None:
    """A new, renamed or moved function is a decision: write it down with `python -m tests.support.function_list`."""
    assert listing() == (ROOT / "tests" / "architecture" / "functions.txt").read_text(encoding="utf-8")


def test_the_app_starts_without_the_azure_ml_client() -> None:
    """It is large, and most invocations never need it: it is loaded by the first call that does."""
    code = "import function_app, sys; print([n for n in sys.modules if n.startswith('azure.ai')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_function_app_only_composes_the_triggers() -> None:
    """No logic: it imports azure.functions and the blueprints, and nothing is defined in it."""
    tree = ast.parse((ROOT / "function_app.py").read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert modules == {"azure.functions", "shared.triggers"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If)]


def test_every_route_of_the_api_is_in_its_document_and_the_other_way_round() -> None:
    """Path and methods; HEAD is GET without a body, and pages are for people."""
    served = {path: methods - {"head"} for path, methods in routes().items() if path.startswith(API)}
    documented = {path: METHODS & set(operations) for path, operations in DOCUMENT["paths"].items()}
    assert documented == served


def test_the_document_is_valid_openapi() -> None:
    """Also without a running app."""
    validate(DOCUMENT)


@pytest.mark.parametrize(
    ("place", "values"),
    [
        (SCHEMAS["ReleasePhase"], ReleasePhase),
        (SCHEMAS["CircuitPhase"], CircuitPhase),
        (SCHEMAS["Gate"]["properties"]["gate"], GateName),
        (SCHEMAS["Gate"]["properties"]["state"], GateState),
        (SCHEMAS["GateView"]["properties"]["standing"], set(Standing) - {Standing.UNKNOWN}),
        (SCHEMAS["Answer"]["properties"]["decision"], [APPROVE, REJECT]),
    ],
    ids=["release phases", "circuit phases", "gates", "gate states", "standings", "decisions"],
)
def test_the_documents_enumerations_are_the_codes(place: dict[str, Any], values: type[StrEnum]) -> None:
    """A new phase must not surprise those who generated a client."""
    assert set(place["enum"]) == {str(value) for value in values}
    assert len(place["enum"]) == len(set(place["enum"]))


def test_every_error_of_the_document_is_a_problem() -> None:
    """RFC 9457 everywhere; only the host's own 401 has no body."""
    for path, operations in DOCUMENT["paths"].items():
        for method in METHODS & set(operations):
            for status, reply in operations[method]["responses"].items():
                if int(status) >= 400 and status != "401" and "content" in reply:
                    told = set(reply["content"])
                    assert "application/problem+json" in told or path.startswith("/api/health"), (
                        f"{method} {path} {status}"
                    )
