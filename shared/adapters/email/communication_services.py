"""Adapter: delivers letters through Azure Communication Services and tells what passes by itself from what does not."""

import uuid

from azure.communication.email import EmailClient
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError

from shared.adapters.email.message import address, message_id, thread_id
from shared.adapters.retry_after import retry_after
from shared.adapters.sign_in import is_refused
from shared.application.ports import Estate, Letter, SenderBudget
from shared.domain.errors import ConfigurationError, PermanentError, PipelineError, TransientError
from shared.pages.mails import render_mail

CLIENT_OPTIONS = {"retry_total": 0}
"""The notice's own back-off repeats; a client that waits inside would block a function for minutes."""
WAIT_SECONDS = 20
POLL_SECONDS = 1


class CommunicationServicesNotifier:
    """The mail channel over REST. The operation id follows from the message id: sent twice, it is one mail."""

    def __init__(self, *, client: EmailClient, sender: str, estate: Estate, budget: SenderBudget) -> None:
        self._client = client
        self._sender = sender
        self._estate = estate
        self._budget = budget

    def deliver(self, letter: Letter) -> None:
        message, operation_id = self._message(letter)
        self._budget.take()
        try:
            poller = self._client.begin_send(message, operation_id=operation_id, polling_interval=POLL_SECONDS)
            poller.wait(WAIT_SECONDS)
            if not poller.done():
                raise TransientError("the mail service has accepted the message and not sent it yet")
            poller.result()
        except ResourceExistsError:
            return  # an earlier attempt, whose answer was lost, has handed it in under this operation id
        except AzureError as error:
            raise _translated(error) from error

    def _message(self, letter: Letter) -> tuple[dict[str, object], str]:
        mail = render_mail(letter, self._estate)
        sender, recipient = address(self._sender), address(letter.notice.recipient)
        name = message_id(letter.notice, sender.domain)
        thread = thread_id(letter.release.release_id, sender.domain)
        headers = {
            "Message-ID": name,
            "References": thread,
            "In-Reply-To": thread,
            "Auto-Submitted": "auto-generated",
        }
        message: dict[str, object] = {
            "senderAddress": sender.addr_spec,
            "recipients": {"to": [{"address": recipient.addr_spec}]},
            "content": {"subject": mail.subject, "plainText": mail.text, "html": mail.html},
            "headers": headers,
            # Tracking rewrites links: a personal link would pass through somebody else's server.
            "userEngagementTrackingDisabled": True,
        }
        return message, str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _translated(error: AzureError) -> PipelineError:
    response = error.response if isinstance(error, HttpResponseError) else None
    if response is None and is_refused(error):
        return ConfigurationError("the app's identity gets no token for the mail service: check AZURE_CLIENT_ID")
    if response is None:
        return TransientError(f"the mail service does not answer: {type(error).__name__}")
    status, said = response.status_code or 0, " ".join(str(error.message).split())[:200]
    if status in {408, 429} or status >= 500:
        wish = retry_after(getattr(response, "headers", None) or {})
        return TransientError(f"the mail service answered {status}", retry_after=wish)
    if status in {401, 403}:
        return ConfigurationError(f"the mail service answered {status}: check ACS_ENDPOINT and the app's role on it")
    return PermanentError(f"the mail service refused the message: {said}")
