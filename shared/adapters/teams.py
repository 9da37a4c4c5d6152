"""Adapter: Adaptive Cards through a Teams Workflows webhook, whose address is a secret."""

import http.client
import ipaddress
import json
import ssl
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

from shared.adapters.retry_after import retry_after
from shared.adapters.teams_card import card_message
from shared.application.ports import Letter
from shared.domain.errors import ConfigurationError, PermanentError, TransientError

TIMEOUT_SECONDS = 20
HOST_ENDINGS = (".logic.azure.com", ".environment.api.powerplatform.com")
HOSTS = frozenset({"api.powerautomate.com"})


class TeamsNotifier:
    """The Teams channel. 200 or 202 is success and proves nothing: the same is said by mail.

    It speaks plain http.client: that follows no redirect, and neither its logs nor the telemetry that watches
    the usual HTTP clients get to see the address.
    """

    def __init__(self, *, webhook_url: str) -> None:
        self._webhook_url = webhook_url

    def deliver(self, letter: Letter) -> None:
        url = _checked(self._webhook_url)
        body = json.dumps(card_message(letter), ensure_ascii=False).encode()
        try:
            status, wish = _post(url, body)
        except ssl.SSLCertVerificationError as error:
            raise ConfigurationError(
                f"the Teams webhook's certificate is not trusted: {error.verify_message}"
            ) from None
        except (http.client.HTTPException, OSError) as error:
            # `from None`: the cause of a failed connection may name the address.
            raise TransientError(f"the Teams webhook does not answer: {type(error).__name__}") from None
        _judge(status, wish)


def _checked(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError:
        raise ConfigurationError("TEAMS_WEBHOOK_URL is no address") from None
    if _is_loopback(host) and url.scheme in {"http", "https"}:
        return url
    if url.scheme != "https" or not (host in HOSTS or host.endswith(HOST_ENDINGS)):
        raise ConfigurationError(
            "TEAMS_WEBHOOK_URL must be the https address of a Workflows webhook: "
            f"{', '.join(f'*{ending}' for ending in HOST_ENDINGS)} or {', '.join(HOSTS)}"
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _post(url: SplitResult, body: bytes) -> tuple[int, timedelta | None]:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
    try:
        target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
        connection.request("POST", target, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read(1024)
        return response.status, retry_after(dict(response.headers))
    finally:
        connection.close()


def _judge(status: int, wish: timedelta | None) -> None:
    if 200 <= status < 300:
        return
    if status in {408, 429} or status >= 500:
        raise TransientError(f"the Teams webhook answered {status}", retry_after=wish)
    if status in {401, 403, 404, 410}:
        raise ConfigurationError(f"the Teams webhook answered {status}: TEAMS_WEBHOOK_URL is no longer valid")
    raise PermanentError(f"the Teams webhook answered {status}")
