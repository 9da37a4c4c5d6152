"""Who is asking: the token endpoint of Entra for the identities in the settings, and the check of bearer tokens."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.azure_ml.calls import Audience
from local.azure_ml.errors import ArmError, ServiceError
from local.azure_ml.settings import Identity, SettingsBook

SCOPE_SUFFIX = "/.default"


class TokenOffice:
    """Issues tokens and reads them back; its key survives restarts, so that tokens in use do too."""

    def __init__(self, directory: Path, book: SettingsBook, now: Callable[[], float] = time.time) -> None:
        self._key = _key_in(directory)
        self._book = book
        self._now = now

    def issue(self, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The reply to a client-credentials request.

        Raises:
            ServiceError: in the token endpoint's own shape, for a wrong tenant, client, secret or scope.
        """
        settings = self._book.current
        if tenant != settings.tenant_id:
            raise _token_error(400, "invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")
        identity = next((one for one in settings.identities if one.client_id == form.get("client_id")), None)
        if identity is None:
            message = f"AADSTS700016: Application with identifier '{form.get('client_id')}' was not found."
            raise _token_error(400, "unauthorized_client", message)
        if not hmac.compare_digest(identity.client_secret, form.get("client_secret", "")):
            raise _token_error(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        resource = next((one for one in form.get("scope", "").split() if one.endswith(SCOPE_SUFFIX)), None)
        if resource is None:
            raise _token_error(400, "invalid_scope", "AADSTS70011: The provided value for scope is not valid.")
        token = self.sign(identity, resource.removesuffix(SCOPE_SUFFIX), settings.token_seconds)
        lifetime = {"expires_in": settings.token_seconds, "ext_expires_in": settings.token_seconds}
        return {"token_type": "Bearer", **lifetime, "access_token": token}

    def sign(self, identity: Identity, audience: str, seconds: int) -> str:
        """A token for `identity`, good for one audience and so many seconds."""
        now = int(self._now())
        claims = {
            "aud": audience.rstrip("/"),
            "iss": f"https://sts.windows.net/{self._book.current.tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "appid": identity.client_id,
            "oid": identity.object_id,
            "tid": self._book.current.tenant_id,
        }
        head = _encode(json.dumps({"typ": "JWT", "alg": "HS256"}).encode())
        text = f"{head}.{_encode(json.dumps(claims).encode())}"
        return f"{text}.{self._signature(text)}"

    def identify(self, authorization: str, audiences: tuple[Audience, ...]) -> Identity:
        """The identity behind an Authorization header.

        Raises:
            ArmError: 401 without a token of ours, with an expired one, or one for another audience.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
        text, _, signature = token.rpartition(".")
        if text.count(".") != 1 or not hmac.compare_digest(signature, self._signature(text)):
            raise _unauthorized("InvalidAuthenticationToken", "The access token is invalid.")
        claims = json.loads(_decode(text.split(".")[1]))
        if claims["exp"] <= self._now():
            raise _unauthorized("ExpiredAuthenticationToken", "The access token expiry UTC time is in the past.")
        if claims["aud"] not in audiences:
            wanted = ", ".join(f"'{one}'" for one in audiences)
            message = f"The access token is for the audience '{claims['aud']}'; it must be one of {wanted}."
            raise _unauthorized("InvalidAuthenticationTokenAudience", message)
        for identity in self._book.current.identities:
            if identity.client_id == claims["appid"]:
                return identity
        raise _unauthorized("InvalidAuthenticationToken", "The application of the access token no longer exists.")

    def _signature(self, text: str) -> str:
        return _encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest())


def openid_configuration(tenant: str) -> dict[str, Any]:
    """What a client reads about a tenant before it asks for a token."""
    base = f"https://login.microsoftonline.com/{tenant}"
    return {
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    }


class _TokenError(ServiceError):
    def body(self, _region: str) -> dict[str, Any]:
        return {"error": self.code, "error_description": self.message, "error_codes": []}


def _token_error(status: int, code: str, message: str) -> ServiceError:
    return _TokenError(status, code, message)


def _unauthorized(code: str, message: str) -> ArmError:
    return ArmError(
        401, code, message, {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{code}"'}
    )


def _key_in(directory: Path) -> bytes:
    path = directory / "token-key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
