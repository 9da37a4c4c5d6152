"""The table that turns the SDK's errors into ours, row by row."""

import errno
import json
from datetime import timedelta

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import HttpResponse as TransportResponse
from azure.identity import CredentialUnavailableError

from shared.adapters.azure_ml.errors import service_errors, translated, unless_missing
from shared.adapters.sign_in import SignInBroke
from shared.domain.errors import ConfigurationError, PermanentError, PipelineError, TransientError

ARM_NO_WORKSPACE = (
    "The Resource 'Microsoft.MachineLearningServices/workspaces/mlw-dev' under resource group 'rg' was not found."
)


class Answer(TransportResponse):
    """A response with a status, an error body and headers."""

    def __init__(self, status: int, code: str = "UserError", message: str = "No.", **headers: str) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]  # no request led here
        self.status_code = status
        self.reason = "as asked"
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.content_type = "application/json"
        self._body = json.dumps({"error": {"code": code, "message": message}}).encode()

    def body(self) -> bytes:
        return self._body

    def text(self, encoding: str | None = None) -> str:
        return self._body.decode(encoding or "utf-8")


def answered(status: int, **more: str) -> HttpResponseError:
    return HttpResponseError(response=Answer(status, **more))


class MachineLearningError(AzureError):
    """Like the SDK's MlException: an AzureError without a response."""


def caused_by(cause: Exception) -> MachineLearningError:
    error = MachineLearningError("wrapped")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answered(400), PermanentError),
        (answered(404), PermanentError),
        (answered(412), PermanentError),
        (answered(424), PermanentError),
        (answered(200, message="The operation failed."), PermanentError),
        (answered(401), ConfigurationError),
        (answered(403), ConfigurationError),
        (answered(404, code="ResourceGroupNotFound"), ConfigurationError),
        (answered(404, code="ResourceNotFound", message=ARM_NO_WORKSPACE), ConfigurationError),
        (ClientAuthenticationError("no token"), ConfigurationError),
        (CredentialUnavailableError("no identity"), ConfigurationError),
        (SignInBroke("503"), TransientError),
        (answered(408), TransientError),
        (ResourceExistsError(response=Answer(409)), TransientError),
        (answered(429), TransientError),
        (answered(500), TransientError),
        (answered(503), TransientError),
        (HttpResponseError("nothing came back"), TransientError),
        (ServiceRequestError("no route"), TransientError),
        (ServiceResponseError("cut off"), TransientError),
        (OSError(errno.ENOSPC, "no space left"), TransientError),
        (OSError(errno.EACCES, "not yours"), PermanentError),
        (MachineLearningError("Max retry attempts reached while trying to connect to server."), TransientError),
        (MachineLearningError("No such deployment"), PermanentError),
        (caused_by(ServiceRequestError("no route")), TransientError),
        (caused_by(answered(403)), ConfigurationError),
        (ValueError("No value for given attribute"), PermanentError),
    ],
)
def test_each_error_becomes_the_one_the_table_says(error: Exception, ours: type[PipelineError]) -> None:
    """Exactly that class, not a broader one, with what was being done in front."""
    result = translated(error, "deploying plant001")
    assert type(result) is ours
    assert str(result).startswith("deploying plant001: ")


def test_the_services_own_sentence_and_code_survive() -> None:
    """A person reads what Azure ML said, not how the SDK wraps it."""
    error = answered(400, code="BadArgument", message="The name 'x' is invalid.")
    assert str(translated(error, "creating x")) == "creating x: The name 'x' is invalid. (BadArgument, 400)"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry_After": "7"}, timedelta(seconds=7)),
        ({"retry_after_ms": "250"}, timedelta(milliseconds=250)),
        (
            {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:27:15 GMT"},
            timedelta(seconds=45),
        ),
        ({}, None),
    ],
)
def test_the_services_wish_to_wait_is_passed_on(headers: dict[str, str], wait: timedelta | None) -> None:
    """Seconds, milliseconds, or a date."""
    result = translated(answered(429, **headers), "looking")
    assert isinstance(result, TransientError)
    assert result.retry_after == wait


def test_what_is_missing_is_none_but_a_missing_workspace_is_not() -> None:
    """A wrong setting must not look like an estate without models."""

    def missing(code: str, message: str) -> str:
        raise ResourceNotFoundError(response=Answer(404, code=code, message=message))

    assert unless_missing(lambda: missing("UserError", "Could not find endpoint x"), "reading x") is None
    with pytest.raises(ConfigurationError, match="mlw-dev"):
        unless_missing(lambda: missing("ResourceNotFound", ARM_NO_WORKSPACE), "reading x")


def test_our_own_mistakes_are_not_translated() -> None:
    """A bug stays a bug."""
    with pytest.raises(KeyError), service_errors("counting"):
        raise KeyError("oops")
