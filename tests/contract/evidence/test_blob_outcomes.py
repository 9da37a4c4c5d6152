"""Blob Storage when answers are lost or it can't be reached."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from azure.storage.blob import BlobServiceClient, ExponentialRetry

from shared.adapters.evidence_blobs import BlobEvidenceStore
from shared.domain.errors import StateRefused, TransientError
from tests.support.azurite import Account
from tests.support.dropping_proxy import DroppingProxy, dropping_proxy
from tests.support.net import free_ports

PATH = "20251210.1/manifest.json"


def store_of(service: BlobServiceClient) -> BlobEvidenceStore:
    return BlobEvidenceStore(
        evidence=service.get_container_client("evidence"), artifacts=service.get_container_client("build-artifacts")
    )


@pytest.fixture
def proxy(account: Account) -> Iterator[DroppingProxy]:
    with BlobServiceClient.from_connection_string(account.connection_string) as direct:
        direct.create_container("evidence")
    with dropping_proxy(account.blob_port) as proxy:
        yield proxy


def test_a_put_whose_answer_is_lost_succeeds(account: Account, proxy: DroppingProxy) -> None:
    """The SDK repeats it and finds the blob there: it is its own."""
    behind = replace(account, blob_port=proxy.port)
    retry = ExponentialRetry(initial_backoff=0, increment_base=0, retry_total=2, random_jitter_range=0)
    with BlobServiceClient.from_connection_string(behind.connection_string, retry_policy=retry) as service:
        store = store_of(service)
        proxy.drop_answer_of("PUT")
        store.put(PATH, b"evidence")
        assert len(proxy.dropped) == 1
        assert store.get(PATH) == b"evidence"


def test_storage_that_cannot_be_reached_is_a_transient_error(account: Account) -> None:
    """Nothing of the SDK's comes out."""
    nowhere = replace(account, blob_port=free_ports(1)[0])
    with BlobServiceClient.from_connection_string(nowhere.connection_string, retry_total=0) as service:
        with pytest.raises(TransientError, match="blob storage"):
            store_of(service).get(PATH)
        with pytest.raises(TransientError, match="blob storage"):
            store_of(service).put(PATH, b"x")


def test_an_account_key_that_does_not_fit_is_a_configuration_error(account: Account) -> None:
    """Trying again would not help; the message says what to check."""
    wrong = account.connection_string.replace("AccountKey=", "AccountKey=AAAA")
    with (
        BlobServiceClient.from_connection_string(wrong, retry_total=0) as service,
        pytest.raises(StateRefused, match="role"),
    ):
        store_of(service).put(PATH, b"x")
