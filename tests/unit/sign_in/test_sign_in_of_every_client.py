"""Unit: a sign-in service that is down is waited for by every Azure client; one that says no is a wrong setting."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from azure.communication.email import EmailClient
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError
from azure.data.tables import TableServiceClient
from azure.identity import CredentialUnavailableError
from azure.servicebus import ServiceBusClient, ServiceBusSender
from azure.storage.blob import BlobServiceClient

from shared import bootstrap
from shared.adapters.email import CLIENT_OPTIONS as MAIL_OPTIONS
from shared.adapters.email import CommunicationServicesNotifier
from shared.adapters.evidence_blobs import BlobEvidenceStore
from shared.adapters.service_bus import ServiceBusMessageBus
from shared.adapters.sign_in import SignIn, SignInBroke
from shared.adapters.table_store import CLIENT_OPTIONS, TableReleaseStore
from shared.application.mail_budget import MailBudget
from shared.bootstrap import BLOB_RETRIES
from shared.domain.commands import Prune
from shared.domain.errors import ConfigurationError, PipelineError, StateRefused, TransientError
from tests.support.builders import a_release
from tests.support.clock import ManualClock
from tests.support.fakes_state import FakeMailLog
from tests.support.release_samples import ESTATE, a_letter

NOWHERE = "https://nowhere.invalid"
BROKE = SignInBroke("the sign-in service answered 503, nobody was refused")
REFUSED = ClientAuthenticationError("AADSTS7000215: Invalid client secret provided.")
NOBODY = CredentialUnavailableError("DefaultAzureCredential failed to retrieve a token")


class NoToken:
    """A credential that raises what it was told to; no client ever gets as far as the network."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_token(self, *scopes: str, **more: Any) -> AccessToken:
        raise self.error

    def get_token_info(self, *scopes: str, **more: Any) -> AccessTokenInfo:
        raise self.error


def read_a_row(credential: NoToken) -> None:
    with TableServiceClient(NOWHERE, credential=credential, **CLIENT_OPTIONS) as service:
        TableReleaseStore(service).release("20251210.1")


def write_a_row(credential: NoToken) -> None:
    with TableServiceClient(NOWHERE, credential=credential, **CLIENT_OPTIONS) as service:
        TableReleaseStore(service).begin(a_release())


def write_a_blob(credential: NoToken) -> None:
    with BlobServiceClient(NOWHERE, credential=credential, **BLOB_RETRIES) as service:
        container = service.get_container_client("evidence")
        BlobEvidenceStore(evidence=container, artifacts=container).put("a", b"x")


class ConnectedBus:
    """Of Service Bus's client all but the network: it has a connection before it asks for a token."""

    def __init__(self, credential: NoToken) -> None:
        self.credential = credential

    def get_queue_sender(self, queue: str) -> ServiceBusSender:
        sender = ServiceBusSender("nowhere.invalid", self.credential, queue_name=queue, retry_total=0)
        sender._open = lambda *_, **__: self.credential.get_token("https://servicebus.azure.net//.default")
        return sender


def send_a_message(credential: NoToken) -> None:
    bus = ServiceBusMessageBus(cast("ServiceBusClient", ConnectedBus(credential)))
    bus.send((Prune(release_id="20251210.1"),))


def send_a_mail(credential: NoToken) -> None:
    mails = CommunicationServicesNotifier(
        client=EmailClient(NOWHERE, credential, **MAIL_OPTIONS),
        sender="releases@example.com",
        estate=ESTATE,
        budget=MailBudget(log=FakeMailLog(), clock=ManualClock(), limits=bootstrap.Settings().mail_limits()),
    )
    mails.deliver(a_letter())


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (BROKE, (TransientError,)),
        (REFUSED, (ConfigurationError, StateRefused)),
        (NOBODY, (ConfigurationError, StateRefused)),
    ],
)
@pytest.mark.parametrize("use", [read_a_row, write_a_row, write_a_blob, send_a_message, send_a_mail])
def test_every_client_tells_a_sign_in_that_broke_from_one_that_was_refused(
    use: Callable[[NoToken], None], error: Exception, ours: tuple[type[PipelineError], ...]
) -> None:
    """A sign-in service that is down must not end as a wrong setting, nor a wrong setting be tried for an hour."""
    with pytest.raises(PipelineError) as caught:
        use(NoToken(error))
    assert type(caught.value) in ours


def test_the_app_signs_in_with_the_credential_that_tells_them_apart() -> None:
    """One for Table, Blob, Service Bus and mail alike."""
    assert isinstance(bootstrap._credential(), SignIn)
