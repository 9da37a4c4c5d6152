"""`parse_manifest`: where ids come from, what is refused, and hostile input."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.application.manifest import MOST_CIRCUITS, parse_manifest
from shared.application.ports import MOST_ARTIFACT_BYTES
from shared.domain.errors import InvalidManifest
from shared.domain.plan import Manifest
from tests.support.builders import an_artifact

PATH = "releases/20251210.1/12345/changed_circuits.json"
ENTRY: Mapping[str, object] = {"plant_id": "PLANT001", "circuit_id": "CIRCUIT01", "cutoff_date": "2025-11-01"}


def parsed(data: object, path: str = PATH, metadata: Mapping[str, str] | None = None) -> Manifest:
    return parse_manifest(json.dumps(data).encode(), path=path, metadata=metadata)


def refusal(data: object, path: str = PATH, metadata: Mapping[str, str] | None = None) -> str:
    with pytest.raises(InvalidManifest) as refused:
        parsed(data, path, metadata)
    return str(refused.value)


# ------------------------------------------------------------------------------------------------- ids


def test_the_release_id_in_the_file_is_enough() -> None:
    """A request has no path."""
    manifest = parsed(an_artifact(), path="")
    assert (manifest.release_id, manifest.build_id) == ("20251210.1", "12345")


@pytest.mark.parametrize("path", [PATH, f"build-artifacts/{PATH}", f"/x/{PATH}"])
def test_the_path_is_the_second_place(path: str) -> None:
    """With or without the container before it."""
    manifest = parsed([ENTRY], path=path)
    assert (manifest.release_id, manifest.build_id) == ("20251210.1", "12345")


def test_metadata_is_the_third_place() -> None:
    """Uploaders write its names in either case."""
    metadata = {"Release_Id": "20251210.4", "BUILD_ID": "77"}
    manifest = parsed([ENTRY], path="drop/changed_circuits.json", metadata=metadata)
    assert (manifest.release_id, manifest.build_id) == ("20251210.4", "77")


def test_no_release_id_anywhere_is_refused_never_guessed() -> None:
    """The message names the places where it may stand."""
    said = refusal([ENTRY], path="drop/changed_circuits.json")
    assert said == "release_id is missing: it stands neither in the file, nor in the path, nor in metadata"


def test_a_release_id_that_differs_from_the_path_is_refused() -> None:
    """Both are shown."""
    said = refusal(an_artifact("20251210.2"))
    assert "'20251210.2' in the file" in said
    assert "'20251210.1' in the path" in said


def test_a_release_id_that_differs_from_the_metadata_is_refused() -> None:
    """Two ids for one upload mean that somebody is mistaken."""
    assert "'20251210.3' in the blob's metadata" in refusal([ENTRY], metadata={"release_id": "20251210.3"})


@pytest.mark.parametrize(
    "release_id", ["20251310.1", "20251210", "20251210.0", "20251210.01", "2025-12-10.1", "latest"]
)
def test_a_release_id_of_another_form_is_refused(release_id: str) -> None:
    """A real date and a number from 1."""
    assert "YYYYMMDD.N" in refusal(an_artifact(release_id), path="")


def test_a_missing_build_id_becomes_unknown_with_a_warning() -> None:
    """It is told, not refused."""
    manifest = parsed(an_artifact(build_id=None), path="")
    assert manifest.build_id == "unknown"
    assert any("build_id" in warning for warning in manifest.warnings)


def test_a_build_id_that_differs_from_the_path_is_told() -> None:
    """The file counts."""
    manifest = parsed(an_artifact(build_id="99"))
    assert manifest.build_id == "99"
    assert "'12345' in the path" in manifest.warnings[0]


@pytest.mark.parametrize("build_id", ["1" * 300, "12\u202e45"])
def test_a_build_id_in_the_path_that_nobody_could_read_is_refused(build_id: str) -> None:
    """It stands in tags and mails."""
    assert "build_id" in refusal([ENTRY], path=f"releases/20251210.1/{build_id}/changed_circuits.json")


def test_integers_become_strings() -> None:
    """Some builds write numbers."""
    entry = {"plant_id": 1, "circuit_id": 22, "cutoff_date": 20251101, "model_version": 3}
    manifest = parsed(an_artifact(build_id=12345, circuits=[entry]))
    (requested,) = manifest.circuits
    assert (requested.circuit.plant_id, requested.circuit.circuit_id) == ("1", "22")
    assert (requested.cutoff_date, requested.model_version, manifest.build_id) == ("20251101", "3", "12345")


# -------------------------------------------------------------------------------------------- circuits


def test_a_model_name_must_be_the_circuits_own() -> None:
    """Both names are shown."""
    said = refusal([{**ENTRY, "model_name": "plant001-circuit02"}])
    assert "PLANT001/CIRCUIT01" in said
    assert "'plant001-circuit02'" in said
    assert "'plant001-circuit01'" in said


def test_a_circuit_listed_twice_is_refused() -> None:
    """Also if both entries are the same."""
    assert "listed more than once: PLANT001/CIRCUIT01" in refusal([ENTRY, ENTRY])


def test_every_problem_is_told_at_once() -> None:
    """Nobody repairs an artifact one error at a time."""
    said = refusal([{**ENTRY, "cutoff_date": None}, {"plant_id": "PLANT001"}, 7])
    for part in (
        "circuits[0] (PLANT001/CIRCUIT01): cutoff_date is empty",
        "circuits[1] (PLANT001/?): circuit_id is missing, cutoff_date is missing",
        "circuits[2]: must be an object",
    ):
        assert part in said


def test_a_flood_of_problems_is_summed_up() -> None:
    """The message has to fit into a mail."""
    said = refusal([{"plant_id": f"P{n}"} for n in range(100)])
    assert "and 80 more" in said
    assert len(said) < 5_000


def test_a_cutoff_that_is_no_date_is_told() -> None:
    """It is legal as an MLTable version, but can only be compared as text."""
    manifest = parsed([{**ENTRY, "cutoff_date": "2025w44"}])
    assert "PLANT001/CIRCUIT01" in manifest.warnings[0]


# ------------------------------------------------------------------------------------------- the bytes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_accepted(encoding: str) -> None:
    """PowerShell writes them."""
    content = json.dumps(an_artifact(requested_by="Jürgen")).encode(encoding)
    assert parse_manifest(content, path=PATH).requested_by == "Jürgen"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{", "no JSON"),
        (b'{"circuits": [],}', "no JSON"),
        (b'\xff{"circuits": []}', "no UTF-8"),
        (b"[" * 200_000, "no usable JSON"),
        (b'{"circuits": [], "circuits": [1]}', "stands twice"),
        (b'{"release_id": "\\ud800", "circuits": []}', "can't be printed"),
        (b'[{"plant_id": ' + b"9" * 5_000 + b"}]", "no usable JSON"),
        (b" " * (MOST_ARTIFACT_BYTES + 1), "10 MiB"),
        (b"[" + b",".join([b"{}"] * (MOST_CIRCUITS + 1)) + b"]", "5000"),
        (b"null", "must be an object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",
)
def test_unusable_bytes_are_refused_by_name(content: bytes, said: str) -> None:
    """Broken, hostile or huge: one error, one message, no crash."""
    with pytest.raises(InvalidManifest, match=said):
        parse_manifest(content, path=PATH)


def test_as_many_circuits_as_promised_are_read() -> None:
    """No limit below 5,000."""
    entries = [{**ENTRY, "circuit_id": f"C{n}"} for n in range(MOST_CIRCUITS)]
    assert len(parsed(entries).circuits) == MOST_CIRCUITS


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.dictionaries(
    st.sampled_from(["plant_id", "circuit_id", "cutoff_date", "model_name", "model_version", "x"]), JSON_VALUES
)


@settings(max_examples=80, deadline=None)
@given(data=st.lists(ENTRIES, max_size=3) | st.fixed_dictionaries({"circuits": JSON_VALUES}) | JSON_VALUES)
def test_whatever_is_uploaded_is_understood_or_refused(data: object) -> None:
    """Nothing but a manifest or `InvalidManifest` comes out, or the event would poison its queue."""
    try:
        manifest = parsed(data)
    except InvalidManifest:
        return
    assert manifest.release_id == "20251210.1"
    assert all(c.circuit.plant_id and c.circuit.circuit_id and c.cutoff_date for c in manifest.circuits)
