"""The evidence store a test runs on: the fake, and Blob Storage."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from shared.adapters.evidence_blobs import BlobEvidenceStore
from shared.application.ports import EvidenceStore
from tests.support.azurite import Account
from tests.support.fakes_state import FakeEvidenceStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The port, and the builds' way into the artifact container."""

    store: EvidenceStore
    artifacts: ContainerClient | FakeEvidenceStore

    def upload(self, path: str, content: bytes, metadata: dict[str, str] | None = None) -> None:
        if isinstance(self.artifacts, FakeEvidenceStore):
            self.artifacts.upload(path, content, at=datetime.now(UTC), metadata=metadata)
        else:
            self.artifacts.upload_blob(path, content, metadata=metadata, overwrite=True)


@pytest.fixture(params=["fake", "blobs"])
def evidence(request: pytest.FixtureRequest) -> Iterator[Evidence]:
    """An empty store; the evidence container does not exist yet, that of the artifacts does."""
    if request.param == "fake":
        fake = FakeEvidenceStore()
        yield Evidence(store=fake, artifacts=fake)
        return
    account: Account = request.getfixturevalue("account")
    with BlobServiceClient.from_connection_string(account.connection_string, retry_total=1) as service:
        artifacts = service.create_container("build-artifacts")
        store = BlobEvidenceStore(evidence=service.get_container_client("evidence"), artifacts=artifacts)
        yield Evidence(store=store, artifacts=artifacts)


@pytest.fixture
def store(evidence: Evidence) -> EvidenceStore:
    return evidence.store
