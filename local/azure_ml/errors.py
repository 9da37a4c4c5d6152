"""Refusals, in the shapes in which the service says no.

ServiceError
├── ArmError        what the resource manager itself refuses: authentication, rights, unknown resources
└── UserError       what Azure ML's management frontend refuses: names, quotas, conflicts, unknown assets
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError


class ServiceError(Exception):
    """A refusal: HTTP status and the body that goes with it."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self, _region: str) -> dict[str, Any]:
        """What the service answers from this region."""
        return {"error": {"code": self.code, "message": self.message}}


class ArmError(ServiceError):
    pass


class UserError(ServiceError):
    """The long form of the management frontend, with the inner code that tells one refusal from another."""

    def __init__(self, status: int, message: str, inner: str) -> None:
        super().__init__(status, "UserError", message, {"x-ms-response-type": "error"})
        self.inner = inner

    def body(self, region: str) -> dict[str, Any]:
        info = {
            "ComponentName": "managementfrontend",
            "Environment": region,
            "Location": region,
            "InnerError": {"code": self.inner, "innerError": None},
        }
        extra = [{"type": key, "info": {"value": value}} for key, value in info.items()]
        return {"error": {"code": self.code, "message": self.message, "details": [], "additionalInfo": extra}}


def not_found(message: str) -> UserError:
    """An asset, endpoint, deployment or job that does not exist."""
    return UserError(404, message, "NotFoundError")


def invalid(message: str) -> UserError:
    """A request that can never succeed as it stands."""
    return UserError(400, message, "BadArgument")


def conflict(message: str) -> UserError:
    """A request that does not fit the present state."""
    return UserError(409, message, "Conflict")


def quota_exceeded(message: str) -> UserError:
    """A request beyond a limit of the region, the subscription or the endpoint."""
    return UserError(400, message, "QuotaExceeded")


def what_is_wrong(error: ValidationError, named: Callable[[tuple[int | str, ...]], str] | None = None) -> str:
    """Each field with what it may be and, unless it is a whole part, what was given."""
    return "; ".join(
        f"{named(one['loc']) if named else '.'.join(map(str, one['loc']))}: {one['msg']}{_given(one['input'])}"
        for one in error.errors()
    )


def _given(value: object) -> str:
    """A part may hold a key or a secret, so it is not repeated."""
    return f" (given: {value!r})" if value is None or isinstance(value, str | int | float) else ""
