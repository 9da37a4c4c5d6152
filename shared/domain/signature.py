"""What an MLflow model says it takes and returns: the `signature` of its MLmodel file (YAML around JSON), read without YAML."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

SIGNATURE = re.compile(r"^signature:\s*$")
KEY = re.compile(r"^ {2}(\w+):\s*(.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One input or output; a tensor has no name."""

    name: str
    type: str
    required: bool = True


NUMBERS = frozenset({"double", "float", "float32", "float64"})
INTEGERS = frozenset({"integer", "long", "int32", "int64"})


def fits(expected: str, found: str) -> bool:
    """A double may happen to be whole, and a string may look like a number; other types are not judged."""
    if expected in NUMBERS:
        return found != "string"
    return expected not in INTEGERS or found == "integer"


def input_columns(mlmodel: bytes) -> tuple[Column, ...] | None:
    """The columns a model takes; None: the file has no input signature, or none we can read."""
    return _columns(_scalar(mlmodel.decode(errors="replace").splitlines(), "inputs"))


def output_columns(mlmodel: bytes) -> tuple[Column, ...] | None:
    """The columns a model returns; None: the file has no output signature, or none we can read."""
    return _columns(_scalar(mlmodel.decode(errors="replace").splitlines(), "outputs"))


def listed_columns(content: bytes) -> tuple[Column, ...] | None:
    """The columns that a hand-written `expected_columns.json` lists: names, or objects with name and type."""
    try:
        found = json.loads(content)
    except ValueError:
        return None
    if not isinstance(found, list) or not found:
        return None
    return tuple(_column(entry if isinstance(entry, dict) else {"name": entry}) for entry in found)


def _scalar(lines: Sequence[str], key: str) -> str:
    """The text of `signature.<key>`; a long scalar is folded over several lines, each further indented."""
    inside, parts = False, list[str]()
    for line in lines:
        if SIGNATURE.match(line):
            inside = True
        elif inside and parts and line.startswith("   "):
            parts.append(line.strip())
        elif parts or (inside and not line.startswith(" ")):
            break
        elif inside and (found := KEY.match(line)) and found[1] == key:
            parts.append(found[2].strip())
    return _unquoted(" ".join(parts))


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\ ", "").replace("\\\\", "\\")
    return text


def _columns(text: str) -> tuple[Column, ...] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list) or not found:
        return None
    return tuple(_column(entry) for entry in found if isinstance(entry, dict))


def _column(entry: dict[str, object]) -> Column:
    spec = entry.get("tensor-spec")
    kind = spec.get("dtype") if isinstance(spec, dict) else entry.get("type")
    return Column(name=str(entry.get("name") or ""), type=str(kind or ""), required=entry.get("required") is not False)
