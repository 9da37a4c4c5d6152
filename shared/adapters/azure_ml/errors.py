"""Adapter: the one place where what Azure ML and its storage raise becomes our errors.

seen -> ours, first match wins
    the sign-in service failed or did not answer                        -> TransientError
    404 of a subscription, group or workspace; 401, 403; no credential  -> ConfigurationError
    408, 409, 429, 5xx, no status at all, connection                    -> TransientError
    any other status; 200 (a long-running operation that failed)        -> PermanentError
    MlException and its kin (no HttpResponseError), ValueError          -> what caused it, else PermanentError
"""

import errno
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)

from shared.adapters.retry_after import retry_after
from shared.adapters.sign_in import SignInBroke
from shared.domain.errors import ConfigurationError, PermanentError, PipelineError, TransientError
from shared.domain.words import clean

TRANSIENT = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,  # another operation on the resource is under way; who creates looks first
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
MISSING_SCOPE_CODES = frozenset({"SubscriptionNotFound", "ResourceGroupNotFound", "WorkspaceNotFound"})
MISSING_WORKSPACE = re.compile(r"workspaces/[^/'\s]+' under resource group")
INVOKE_GAVE_UP = "Max retry attempts reached"
"""How the SDK's invoke reports five failed connections: as an MlException without a cause."""
LONGEST_MESSAGE = 1000
MILLISECONDS = re.compile(r"\d+(\.\d+)?")

SERVICE_ERRORS = (AzureError, ValueError, OSError)
"""Everything the SDKs raise for what happens outside this process."""


@contextmanager
def service_errors(doing: str) -> Iterator[None]:
    """Translate whatever the service does wrong while we are `doing` something."""
    try:
        yield
    except SERVICE_ERRORS as error:
        raise translated(error, doing) from error


def unless_missing[Found](call: Callable[[], Found], doing: str) -> Found | None:
    """What the call finds; None if the service has no such thing (a missing workspace is still an error)."""
    with service_errors(doing):
        try:
            return call()
        except ResourceNotFoundError as error:
            if _is_missing_scope(error):
                raise
            return None


def translated(error: Exception, doing: str) -> PipelineError:
    """Our error for one of theirs."""
    message = clean(f"{doing}: {_message(error)}")[:LONGEST_MESSAGE]
    match error:
        case SignInBroke():
            return TransientError(message)
        case ClientAuthenticationError():
            return ConfigurationError(message)
        case HttpResponseError():
            return _by_status(error, message)
        case ServiceRequestError() | ServiceResponseError() | json.JSONDecodeError():
            return TransientError(message)
        case OSError():
            permanent = error.errno in {errno.EACCES, errno.EROFS, errno.ENOENT}
            return PermanentError(message) if permanent else TransientError(message)
    if str(error).startswith(INVOKE_GAVE_UP):
        return TransientError(message)
    cause = error.__cause__
    return translated(cause, doing) if isinstance(cause, AzureError | OSError) else PermanentError(message)


def _by_status(error: HttpResponseError, message: str) -> PipelineError:
    status = error.status_code
    if status in REFUSED or _is_missing_scope(error):
        return ConfigurationError(message)
    if status is None or status in TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError(message, retry_after=_retry_after(error))
    if isinstance(error, DecodeError):
        return TransientError(message)
    return PermanentError(message)


def _is_missing_scope(error: HttpResponseError) -> bool:
    if error.status_code != HTTPStatus.NOT_FOUND:
        return False
    return _code(error) in MISSING_SCOPE_CODES or MISSING_WORKSPACE.search(str(error)) is not None


def _code(error: HttpResponseError) -> str:
    return str(error.error.code) if error.error is not None and error.error.code else ""


def _message(error: Exception) -> str:
    """The service's own sentence, without the SDK's wrapping, and its error code."""
    if not isinstance(error, HttpResponseError):
        return " ".join(str(error).split()) or type(error).__name__
    inner = error.error
    said = str(inner.message) if inner is not None and inner.message else str(error.message)
    notes = [note for note in (_code(error), str(error.status_code or "")) if note]
    return " ".join(said.split()) + (f" ({', '.join(notes)})" if notes else "")


def _retry_after(error: HttpResponseError) -> timedelta | None:
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        value = headers.get(name)
        if value and MILLISECONDS.fullmatch(value):
            return timedelta(milliseconds=float(value))
    return retry_after(headers)
