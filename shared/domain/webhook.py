"""Which addresses may be a Teams Workflows webhook. Pure."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

HOST_ENDINGS = (".logic.azure.com", ".environment.api.powerplatform.com")
HOSTS = frozenset({"api.powerautomate.com"})


def webhook_address(text: str) -> SplitResult:
    """The address of a service that Workflows has, by https, or of one on this machine.

    Raises:
        ValueError: it is neither; the message does not repeat it, for it is a secret.
    """
    try:
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError:
        raise ValueError("no address") from None
    if _is_loopback(host) and url.scheme in {"http", "https"}:
        return url
    if url.scheme != "https" or not (host in HOSTS or host.endswith(HOST_ENDINGS)):
        known = (*(f"*{ending}" for ending in HOST_ENDINGS), *sorted(HOSTS))
        raise ValueError(f"must be the https address of a Workflows webhook: {', '.join(known)}")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
