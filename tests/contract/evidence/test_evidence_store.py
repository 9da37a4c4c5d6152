"""`EvidenceStore`: one suite, on the fake and on real Blob Storage."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from shared.application.ports import MOST_ARTIFACT_BYTES, EvidenceStore
from shared.domain.errors import ConflictError

PATH = "20251210.1/registry-approval/abc.json"
ARTIFACT = "releases/20251210.1/12345/changed_circuits.json"


class Uploads(Protocol):
    @property
    def store(self) -> EvidenceStore: ...

    def upload(self, path: str, content: bytes, metadata: dict[str, str] | None = None) -> None: ...


def test_what_was_put_can_be_got(store: EvidenceStore) -> None:
    """The container is made by the first put."""
    assert store.get(PATH) is None
    store.put(PATH, b'{"a":1}')
    assert store.get(PATH) == b'{"a":1}'


def test_the_same_content_again_is_fine(store: EvidenceStore) -> None:
    """A repeated intake freezes the same manifest."""
    store.put(PATH, b"same")
    store.put(PATH, b"same")
    assert store.get(PATH) == b"same"


def test_other_content_is_refused_and_the_first_stays(store: EvidenceStore) -> None:
    """Evidence is never overwritten."""
    store.put(PATH, b"first")
    with pytest.raises(ConflictError):
        store.put(PATH, b"second")
    assert store.get(PATH) == b"first"


def test_blobs_under_a_path_are_removed_in_steps(store: EvidenceStore) -> None:
    """Retention: what lies beside them stays; asked again, nothing is left to do."""
    for path in ("20251210.1/a.json", "20251210.1/gate/b.json", "20251210.1/gate/c.json", "20251210.10/a.json"):
        store.put(path, b"{}")
    assert [store.remove("20251210.1/", limit=2) for _ in range(3)] == [2, 1, 0]
    assert store.get("20251210.1/gate/c.json") is None
    assert store.get("20251210.10/a.json") == b"{}"


def test_of_blobs_named_by_time_those_from_before_are_removed(store: EvidenceStore) -> None:
    """`before` is compared with the whole path."""
    for quarter in ("20251210T0900", "20251210T0915", "20251210T0930"):
        store.put(f"invalid/mails/{quarter}.json", b"[]")
    assert store.remove("invalid/mails/", before="invalid/mails/20251210T0930", limit=9) == 2
    assert store.get("invalid/mails/20251210T0930.json") == b"[]"


def test_there_is_nothing_to_remove_before_the_first_put(store: EvidenceStore) -> None:
    """The container is not there yet."""
    assert store.remove("20251210.1/", limit=9) == 0


def test_an_empty_blob_is_a_blob(evidence: Uploads) -> None:
    """Uploads in parts are first seen empty; that is not the same as absent."""
    evidence.upload(ARTIFACT, b"")
    assert evidence.store.artifact(ARTIFACT) == b""
    assert evidence.store.artifact("releases/x/changed_circuits.json") is None


def test_an_artifact_comes_with_its_metadata(evidence: Uploads) -> None:
    """The last place where a release_id may stand."""
    evidence.upload(ARTIFACT, b"[]", {"release_id": "20251210.1"})
    assert evidence.store.artifact(ARTIFACT) == b"[]"
    assert evidence.store.artifact_metadata(ARTIFACT) == {"release_id": "20251210.1"}
    assert evidence.store.artifact_metadata("absent") == {}


def test_of_a_huge_artifact_only_enough_is_read_to_refuse_it(evidence: Uploads) -> None:
    """Nobody fills our memory from outside."""
    evidence.upload(ARTIFACT, b" " * (MOST_ARTIFACT_BYTES + 5_000))
    content = evidence.store.artifact(ARTIFACT)
    assert content is not None
    assert len(content) == MOST_ARTIFACT_BYTES + 1


def test_only_artifacts_by_name_are_listed(evidence: Uploads) -> None:
    """R1: the name alone decides."""
    evidence.upload(ARTIFACT, b"[]")
    evidence.upload("changed_circuits.json", b"[]")
    for other in ("releases/20251210.1/12345/other.json", "x/changed_circuits.json.bak", "x/not_changed_circuits.json"):
        evidence.upload(other, b"[]")
    assert list(evidence.store.artifact_paths(datetime.now(UTC) - timedelta(hours=1))) == [
        "changed_circuits.json",
        ARTIFACT,
    ]


def test_artifacts_from_before_are_not_listed(evidence: Uploads) -> None:
    """The look back ends somewhere."""
    evidence.upload(ARTIFACT, b"[]")
    assert not evidence.store.artifact_paths(datetime.now(UTC) + timedelta(hours=1))
