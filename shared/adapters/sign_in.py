"""Adapters: the app's identity in Azure, whose errors tell a sign-in service that broke from one that said no.

`DefaultAzureCredential` reports both as `ClientAuthenticationError`, at first sight without the answer it got.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential

RETRIES = 2
"""The credential's own repeats, two seconds of them; the step is tried again anyway."""
PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class SignInBroke(ClientAuthenticationError):
    """The sign-in service failed or could not be reached; it may work later."""


def is_refused(error: BaseException | None) -> bool:
    """Did the sign-in service, or the service that was called, say no to this identity?"""
    return isinstance(error, ClientAuthenticationError) and not isinstance(error, SignInBroke)


class _Exchange:
    """What the last question to the sign-in service led to, whichever thread asked it.

    After an answer of 429 or 5xx the credential asks nobody for up to a minute and repeats that answer: what counts is
    the last exchange there was, not one of this very call.
    """

    def __init__(self) -> None:
        self._asked = False
        self._status: int | None = None

    def request(self, _request: object) -> None:
        self._asked, self._status = True, None

    def response(self, response: Any) -> None:
        self._status = int(response.http_response.status_code)

    @property
    def broke(self) -> bool:
        """Not if nothing was ever asked: then there is no identity to ask for."""
        status = self._status
        return self._asked and (status is None or status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR)

    def __str__(self) -> str:
        return "gave no answer" if self._status is None else f"answered {self._status}"


class SignIn(DefaultAzureCredential):
    """Raises `SignInBroke` where trying again later may help, else what `DefaultAzureCredential` raises."""

    def __init__(self) -> None:
        self._exchange = _Exchange()
        super().__init__(
            retry_total=RETRIES,
            raw_request_hook=self._exchange.request,
            raw_response_hook=self._exchange.response,
        )

    def get_token(
        self, *scopes: str, claims: str | None = None, tenant_id: str | None = None, **more: Any
    ) -> AccessToken:
        with self._told_apart():
            return super().get_token(*scopes, claims=claims, tenant_id=tenant_id, **more)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        with self._told_apart():
            return super().get_token_info(*scopes, options=options)

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        try:
            yield
        except ClientAuthenticationError as error:
            if self._exchange.broke:
                raise SignInBroke(f"the sign-in service {self._exchange}, nobody was refused") from error
            raise
