"""Keys of one stack: made at random at its first start, kept with its state because the state needs them."""

import secrets
from dataclasses import asdict, dataclass

from local.stack.files import read_json, write_json
from local.stack.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSecrets:
    """What only this stack knows."""

    function_key: str
    blob_events_key: str
    link_signing_key: str


def stack_secrets(places: Places) -> StackSecrets:
    """The stack's keys; made and written at the first call."""
    known = read_json(places.secrets)
    if known is not None:
        return StackSecrets(**known)
    fresh = StackSecrets(
        function_key=secrets.token_urlsafe(24),
        blob_events_key=secrets.token_urlsafe(24),
        link_signing_key=secrets.token_urlsafe(32),
    )
    write_json(places.secrets, asdict(fresh), private=True)
    return fresh
