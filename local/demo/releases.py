"""The app's releases as its HTTP API shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.demo.access import api
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


@dataclass(slots=True, kw_only=True)
class Looks:
    """How often somebody looked at a release, by what there was to see."""

    missing: int = 0
    running: int = 0
    ended: int = 0

    @property
    def total(self) -> int:
        return self.missing + self.running + self.ended


class ReleasesApi:
    """Reads releases as an operator."""

    def __init__(self, stack: Stack) -> None:
        self._url = f"{stack.app_url}/api/releases"
        self._http = api(stack)
        self.looks = Looks()

    def get(self, release_id: str) -> Release | None:
        """The release, or None while the app has not heard of it.

        Raises:
            RuntimeError: the app answered something else.
        """
        reply = self._http.get(f"{self._url}/{release_id}")
        if reply.status == 404:
            self.looks.missing += 1
            return None
        if reply.status != 200:
            raise RuntimeError(f"GET {self._url}/{release_id} answered {reply.status}: {reply.text[:300]}")
        release: Release = reply.json()
        if is_over(release):
            self.looks.ended += 1
        else:
            self.looks.running += 1
        return release

    def is_known(self, release_id: str) -> bool:
        """Whether the app has a release of this id, in whatever phase."""
        return self.get(release_id) is not None


def is_over(release: Release) -> bool:
    """Whether the release is in a phase that it will not leave by itself."""
    return release["phase"] not in RUNNING
