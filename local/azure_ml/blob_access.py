"""Blob requests that come with a token instead of a signature: the caller's role at the storage account decides."""

from datetime import timedelta

from aiohttp import web

from local.azure_ml.calls import Audience, World
from local.azure_ml.errors import ServiceError
from local.azure_ml.settings import Identity, Right, Scope
from local.azure_ml.storage import READ_ONLY, READ_WRITE

LIFETIME = timedelta(minutes=5)


class BlobRefusal(ServiceError):
    """Blob storage says no in XML, and names the reason in a header too."""

    def xml(self) -> web.Response:
        text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>'
        headers = {"x-ms-error-code": self.code, **self.headers}
        return web.Response(status=self.status, text=text, content_type="application/xml", headers=headers)


def has_token(request: web.BaseRequest) -> bool:
    return request.headers.get("Authorization", "").lower().startswith("bearer ")


def sender(world: World, request: web.BaseRequest) -> Identity:
    """Who sends a blob request with a token.

    Raises:
        BlobRefusal: 401 for a token of nobody, one that has expired, or one for another audience.
    """
    try:
        return world.tokens.identify(request.headers["Authorization"], (Audience.STORAGE,))
    except ServiceError as error:
        raise BlobRefusal(401, "InvalidAuthenticationInfo", error.message, error.headers) from error


def signature_by_role(
    world: World, request: web.BaseRequest, identity: Identity, scope: Scope | None, *, reads: bool
) -> str:
    """A signature for the request's container that allows what the role of its sender allows.

    Raises:
        BlobRefusal: 403 without a role that allows the request.
    """
    held = identity.blob_role_in(scope.name) if scope else Right.NONE
    if scope is None or not held.covers(Right.READ if reads else Right.WRITE):
        message = "This request is not authorized to perform this operation using this permission."
        raise BlobRefusal(403, "AuthorizationPermissionMismatch", message)
    container = request.path.strip("/").partition("/")[0]
    permissions = READ_WRITE if held is Right.WRITE else READ_ONLY
    return world.blobs.signature(scope, container, permissions, LIFETIME)
