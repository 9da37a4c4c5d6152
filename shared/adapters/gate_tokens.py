"""Adapter: approval and view links signed with itsdangerous, and the codes and form tokens that go with them."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from itsdangerous import BadData, URLSafeTimedSerializer

from shared.application.ports import GateClaim, GateLink, RollbackClaim, ViewClaim
from shared.domain.errors import ConfigurationError
from shared.domain.model import Gate, GateName
from shared.domain.naming import is_rollback

MOST_CHARACTERS = 2048
"""Ours have about 300; longer ones are not worth a hash."""
LINK_PARAMETER = "link"
VIEW_PARAMETER = "view"
"""The query parameter of a page's address that carries a view token."""


class SignedGateTokens:
    """Keys come oldest first and the last one signs, so that links survive a rotation until their key is removed.

    Whether a link still fits its gate is for the gate's row to say; `max_age` only bounds how long a signature counts.
    """

    def __init__(self, *, keys: Sequence[str], public_url: str, max_age: timedelta) -> None:
        if not keys:
            raise ConfigurationError("LINK_SIGNING_KEYS is empty: links to gates and releases can't be signed")
        self._keys = {_key_id(key): key for key in keys}
        self._newest = _key_id(keys[-1])
        self._public_url = public_url.rstrip("/")
        self._max_age = int(max_age.total_seconds())
        self._approval = _serializer(keys, "approval")
        self._view = _serializer(keys, "view")
        self._rollback = _serializer(keys, "rollback")

    def link(self, gate: Gate, recipient: str) -> GateLink:
        """The recipient's own way to this opening of the gate."""
        claim = GateClaim(
            release_id=gate.release_id, gate=gate.gate, nonce=gate.nonce, recipient=recipient, key_id=self._newest
        )
        token = self._approval.dumps([claim.release_id, claim.gate, claim.nonce, claim.recipient, claim.key_id])
        return GateLink(url=f"{self._public_url}/approvals/{_text(token)}", code=self.code(claim))

    def view_url(self, release_id: str, reader: str = "") -> str:
        """The release's page, readable by whoever has the link; a reader's own says whose it is."""
        token = _text(self._view.dumps([release_id, reader] if reader else release_id))
        place = "rollbacks" if is_rollback(release_id) else "releases"
        return f"{self._public_url}/{place}/{quote(release_id, safe='')}?{VIEW_PARAMETER}={token}"

    def read(self, token: str) -> GateClaim | None:
        """What an approval token says; None for everything that is not one of ours."""
        match self._load(self._approval, token):
            case [str(release_id), str(gate), str(nonce), str(recipient), str(key_id)] if gate in GateName:
                return GateClaim(
                    release_id=release_id, gate=GateName(gate), nonce=nonce, recipient=recipient, key_id=key_id
                )
            case _:
                return None

    def read_view(self, token: str) -> ViewClaim | None:
        """What a view token says; None for everything that is not one of ours."""
        match self._load(self._view, token):
            case str(release_id):
                return ViewClaim(release_id=release_id)
            case [str(release_id), str(reader)] if reader:
                return ViewClaim(release_id=release_id, reader=reader)
            case _:
                return None

    def rollback_link(self, release_id: str, recipient: str) -> GateLink:
        """Its page shows what would happen; the code that it asks for stands beside the link in the mail."""
        claim = RollbackClaim(release_id=release_id, recipient=recipient, key_id=self._newest)
        token = _text(self._rollback.dumps([claim.release_id, claim.recipient, claim.key_id]))
        return GateLink(url=f"{self._public_url}/rollbacks/new?{LINK_PARAMETER}={token}", code=self.code(claim))

    def read_rollback(self, token: str) -> RollbackClaim | None:
        """What a rollback token says; None for everything that is not one of ours."""
        match self._load(self._rollback, token):
            case [str(release_id), str(recipient), str(key_id)]:
                return RollbackClaim(release_id=release_id, recipient=recipient, key_id=key_id)
            case _:
                return None

    def code(self, claim: GateClaim | RollbackClaim) -> str:
        """Six digits that can't be told from the link: they follow from the claim and a key, not from the token."""
        return f"{int.from_bytes(self._mac('code', claim)) % 1_000_000:06d}"

    def csrf(self, claim: GateClaim | RollbackClaim, cookie: str) -> str:
        """The form's token, bound to the person, what the link is about and the browser's cookie."""
        return self._mac("csrf", claim, cookie).hex()

    def _mac(self, purpose: str, claim: GateClaim | RollbackClaim, *more: str) -> bytes:
        key = self._keys.get(claim.key_id) or self._keys[self._newest]
        about = [claim.gate, claim.nonce] if isinstance(claim, GateClaim) else ["rollback"]
        said = [purpose, claim.release_id, *about, claim.recipient, *more]
        return hmac.digest(key.encode(), json.dumps(said).encode(), "sha256")

    def _load(self, serializer: URLSafeTimedSerializer, token: str) -> object:
        if len(token) > MOST_CHARACTERS:
            return None
        try:
            said: object = serializer.loads(token, max_age=self._max_age)
        except BadData:
            return None
        return said


def _serializer(keys: Sequence[str], purpose: str) -> URLSafeTimedSerializer:
    # The library's default digest is SHA-1. A salt per purpose keeps a view link from passing as an approval link.
    return URLSafeTimedSerializer(
        list(keys), salt=purpose, signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    )


def _key_id(key: str) -> str:
    """Names the key that made a link: its code must stay the same after a rotation."""
    return hmac.digest(key.encode(), b"key id", "sha256").hex()[:8]


def _text(token: str | bytes) -> str:
    return token if isinstance(token, str) else token.decode()
