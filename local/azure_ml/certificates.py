"""The certificate authority of one data directory, and the bundle that makes clients trust it.

The bundle holds no other authority: whoever uses it comes through the proxy, which leads nowhere else, and each of a
client's connections would read a hundred public ones, for some 18 ms.
"""

import ssl
from pathlib import Path

import trustme


class Certificates:
    """Issues certificates for the host names that clients ask for; the authority survives restarts."""

    def __init__(self, directory: Path) -> None:
        self._authority = _authority_in(directory)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.bundle = directory / "ca-bundle.pem"
        self.bundle.write_bytes(self._authority.cert_pem.bytes())

    def context_for(self, host: str) -> ssl.SSLContext:
        """A server context with a certificate for `host`."""
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            self._contexts[host] = context
        return self._contexts[host]


def _authority_in(directory: Path) -> trustme.CA:
    certificate, key = directory / "ca.pem", directory / "ca-key.pem"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    authority = trustme.CA(organization_name="Local stand-in for Azure ML")
    key.touch(mode=0o600)
    key.write_bytes(authority.private_key_pem.bytes())
    certificate.write_bytes(authority.cert_pem.bytes())
    return authority
