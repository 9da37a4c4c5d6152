"""The app's releases as its HTTP API shows them."""

from collections.abc import Mapping
from typing import Any

from local.demo.http import Http
from local.stack.description import Stack

type Release = Mapping[str, Any]

REGISTRY_GATE = "registry-approval"
PRODUCTION_GATE = "production-approval"

RUNNING = frozenset(
    {
        "inspecting",
        "awaiting_registry_approval",
        "promoting",
        "testing",
        "awaiting_production_approval",
        "staging_production",
        "activating",
        "reverting",
    }
)


class ReleasesApi:
    """Reads releases with the function key."""

    def __init__(self, stack: Stack) -> None:
        self._url = f"{stack.app_url}/api/releases"
        self._http = Http({"x-functions-key": stack.function_key})
        self.looks = 0

    def get(self, release_id: str) -> Release | None:
        """The release, or None while the app has not heard of it.

        Raises:
            RuntimeError: the app answered something else.
        """
        self.looks += 1
        reply = self._http.get(f"{self._url}/{release_id}")
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise RuntimeError(f"GET {self._url}/{release_id} answered {reply.status}: {reply.text[:300]}")
        release: Release = reply.json()
        return release

    def is_known(self, release_id: str) -> bool:
        """Whether the app has a release of this id, in whatever phase."""
        return self.get(release_id) is not None


def is_over(release: Release) -> bool:
    """Whether the release is in a phase that it will not leave by itself."""
    return release["phase"] not in RUNNING
