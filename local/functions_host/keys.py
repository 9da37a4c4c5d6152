"""Local stack, Functions host: the host's keys, made once and kept in its data directory."""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """`master` opens everything, `function` every function, `blobs_extension` the blob webhook only."""

    master: str
    function: str
    blobs_extension: str

    def allow_function(self, auth_level: str, key: str) -> bool:
        """Whether a request with this key may call a function of this authLevel."""
        match auth_level:
            case "anonymous":
                return True
            case "admin":
                return self.allow_admin(key)
            case _:
                return _same(key, self.function) or self.allow_admin(key)

    def allow_admin(self, key: str) -> bool:
        return _same(key, self.master)

    def allow_webhook(self, key: str) -> bool:
        return _same(key, self.blobs_extension) or self.allow_admin(key)


def load_keys(data_dir: Path, given: Mapping[str, str | None]) -> Keys:
    """The keys given on the command line, else those kept, else fresh ones; all are kept for next time."""
    path = data_dir / "keys.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    names = ("master", "function", "blobs_extension")
    keys = Keys(**{name: given.get(name) or kept.get(name) or secrets.token_urlsafe(32) for name in names})
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(keys), indent=2))
    return keys


def presented_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The key of a request: the header wins over `?code=`."""
    return headers.get("x-functions-key") or query.get("code") or ""


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
