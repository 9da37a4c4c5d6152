"""JSON that people write by hand: a name that stands twice in an object is an error, where a parser keeps the last one."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "examples", "local", "shared", "tests")
FILES = sorted([*ROOT.glob("*.json"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.json"))])


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """ValueError: a name stands twice."""
    twice = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if twice:
        raise ValueError(f"twice in one object: {', '.join(twice)}")
    return dict(pairs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_stands_twice_in_an_object(path: Path) -> None:
    """The API's document above all: of two schemas or routes of one name the first would vanish without a word."""
    json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)


def test_a_schema_that_stands_twice_is_found_by_its_name() -> None:
    """However deep, and although every parser takes it."""
    document = '{"components": {"schemas": {"Gate": {"type": "object"}, "Run": {}, "Gate": {}}}}'
    assert json.loads(document)
    with pytest.raises(ValueError, match="twice in one object: Gate"):
        json.loads(document, object_pairs_hook=once)
