"""Every shape of `changed_circuits.json` that builds write: accepted, or refused with help; parser and schema agree."""

import json
from pathlib import Path

import jsonschema
import pytest

from shared.application.manifest import MOST_CIRCUITS, REMEDY, parse_manifest
from shared.domain.errors import InvalidManifest

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "artifacts"
ACCEPTED = sorted((DATA / "accepted").glob("*.json"))
REFUSED = sorted((DATA / "refused").glob("*.json"))
SCHEMA = json.loads((ROOT / "docs" / "changed_circuits.schema.json").read_text())
PATH = "releases/20251210.1/12345/changed_circuits.json"


def is_valid(content: bytes) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(content))


def test_the_published_schema_is_a_schema() -> None:
    """Editors refuse to work with a broken one."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$defs"]["circuits"]["maxItems"] == MOST_CIRCUITS


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_accepted_shapes_pass_parser_and_schema(path: Path) -> None:
    """Shapes A to F and version 1; all circuits of the file are found."""
    content = path.read_bytes()
    data = json.loads(content)
    entries = data["circuits"] if isinstance(data, dict) else data
    manifest = parse_manifest(content, path=PATH)
    assert [(c.circuit.plant_id, c.circuit.circuit_id, c.cutoff_date) for c in manifest.circuits] == [
        (str(entry["plant_id"]), str(entry["circuit_id"]), entry["cutoff_date"]) for entry in entries
    ]
    assert (manifest.release_id, manifest.build_id) == ("20251210.1", "12345")
    assert is_valid(content)


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_refused_shapes_fail_parser_and_schema(path: Path) -> None:
    """The message is what is wrong, in one line; how to do it right is told beside it, once."""
    content = path.read_bytes()
    with pytest.raises(InvalidManifest) as refusal:
        parse_manifest(content, path=PATH)
    assert "\n" not in str(refusal.value)
    assert PATH not in str(refusal.value)
    assert REMEDY not in str(refusal.value)
    assert not is_valid(content)


def test_the_example_is_accepted() -> None:
    """What the demo uploads is what the schema describes."""
    content = (ROOT / "examples" / "changed_circuits.json").read_bytes()
    assert len(parse_manifest(content).circuits) == 3
    assert is_valid(content)


def test_shape_g_names_the_missing_field_and_what_to_write() -> None:
    """The MLTable's version is the cutoff date; nothing is guessed."""
    with pytest.raises(InvalidManifest, match=r"PLANT001/CIRCUIT01.*cutoff_date is missing.*2025-11-01.*cutoff_date"):
        parse_manifest((DATA / "refused" / "g_mltable.json").read_bytes(), path=PATH)


def test_another_outer_key_is_never_taken_for_an_empty_list() -> None:
    """Known failure 1: no circuit processed, everything reported green."""
    with pytest.raises(InvalidManifest, match=r"\"circuits\" is missing; found 'changed_circuits'"):
        parse_manifest((DATA / "refused" / "other_key.json").read_bytes(), path=PATH)


def test_training_configurations_keep_what_the_pipeline_needs() -> None:
    """Shape F: many keys, some of other types than ours; none of them hurts."""
    manifest = parse_manifest((DATA / "accepted" / "f_training_configuration.json").read_bytes(), path=PATH)
    assert [c.change_type for c in manifest.circuits] == [""]


def test_a_commit_that_all_circuits_share_is_the_releases_commit() -> None:
    """Shape E notes it per circuit."""
    manifest = parse_manifest((DATA / "accepted" / "e_pull_request.json").read_bytes(), path=PATH)
    assert manifest.commit_sha.startswith("9b2f4f0c")
