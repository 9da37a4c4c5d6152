"""Local stack, Functions host: puts a message on the poison queue of blob triggers, by the Queue service's REST API."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from aiohttp import ClientSession

from local.functions_host.errors import ConfigurationError

POISON_QUEUE = "webjobs-blobtrigger-poison"
API_VERSION = "2021-12-02"
SIGNED_HEADERS = 11  # Content-Encoding to Range, in the order of the Shared Key scheme


async def put_poison_message(connection_string: str, text: str) -> None:
    """Create the queue if need be, then add the message, base64 as the real host writes it.

    Raises: ConfigurationError if the connection has no queue endpoint; aiohttp's errors.
    """
    account, key, endpoint = _parse(connection_string)
    encoded = base64.b64encode(text.encode()).decode()
    body = f"<QueueMessage><MessageText>{escape(encoded)}</MessageText></QueueMessage>".encode()
    async with ClientSession() as session:
        for method, path, content in (
            ("PUT", f"/{POISON_QUEUE}", b""),
            ("POST", f"/{POISON_QUEUE}/messages", body),
        ):
            url = endpoint + path
            headers = _signed_headers(account, key, method, url, content)
            async with session.request(method, url, data=content, headers=headers) as response:
                response.raise_for_status()


def _signed_headers(account: str, key: bytes, method: str, url: str, content: bytes) -> Mapping[str, str]:
    """Shared Key authorization of the Queue service, with everything optional left out."""
    date = format_datetime(datetime.now(UTC), usegmt=True)
    own = {"x-ms-date": date, "x-ms-version": API_VERSION}
    content_type = "application/xml" if content else "application/octet-stream"
    length = str(len(content)) if content else ""
    standard = ["", "", length, "", content_type, *[""] * (SIGNED_HEADERS - 5)]
    canonical = [f"{name}:{value}" for name, value in sorted(own.items())]
    to_sign = "\n".join((method, *standard, *canonical, f"/{account}{urlsplit(url).path}"))
    signature = base64.b64encode(hmac.new(key, to_sign.encode(), hashlib.sha256).digest()).decode()
    return own | {"Content-Type": content_type, "Authorization": f"SharedKey {account}:{signature}"}


def _parse(connection_string: str) -> tuple[str, bytes, str]:
    parts = dict(part.split("=", 1) for part in connection_string.split(";") if part)
    account = parts.get("AccountName", "")
    endpoint = parts.get("QueueEndpoint") or (
        f"{parts['DefaultEndpointsProtocol']}://{account}.queue.{parts['EndpointSuffix']}"
        if "EndpointSuffix" in parts
        else ""
    )
    if not endpoint or "AccountKey" not in parts:
        raise ConfigurationError("the connection string has no QueueEndpoint or no AccountKey")
    return account, base64.b64decode(parts["AccountKey"]), endpoint.rstrip("/")
