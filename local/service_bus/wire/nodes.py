"""What an address means: the token node, a queue, a queue's management, or nothing we serve."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.service_bus.engine.model import DEAD_LETTER_SUFFIX
from local.service_bus.engine.namespace import Namespace
from local.service_bus.engine.queue import Queue
from local.service_bus.wire.errors import NOT_FOUND, NOT_IMPLEMENTED, LinkRefused

_MANAGEMENT_SUFFIX = "/$management"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenNode:
    address: str = "$cbs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementNode:
    queue: Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueNode:
    queue: Queue


type Node = TokenNode | ManagementNode | QueueNode


class AddressBook:
    """All nodes; `not_served` names entities of the configuration that the stand-in refuses, and why."""

    def __init__(self, namespace: Namespace, not_served: Mapping[str, str]) -> None:
        self._namespace = namespace
        self._not_served = {name.lower(): why for name, why in not_served.items()}

    def resolve(self, address: object) -> Node:
        """The node at an address, which may come with a scheme and a host.

        Raises:
            LinkRefused: there is none, or none that we serve.
        """
        if not isinstance(address, str):
            raise LinkRefused(NOT_FOUND, "the link has no address")
        path = _path(address)
        if path == "$cbs":
            return TokenNode()
        entity = path.removesuffix(_MANAGEMENT_SUFFIX)
        queue = self._queue(entity)
        return QueueNode(queue=queue) if entity == path else ManagementNode(queue=queue)

    def _queue(self, entity: str) -> Queue:
        for name, why in self._not_served.items():
            if entity == name or entity.startswith(name + "/"):
                raise LinkRefused(NOT_IMPLEMENTED, f"{name}: {why}")
        queue = self._namespace.find(entity)
        if queue is None:
            base = entity.removesuffix(DEAD_LETTER_SUFFIX)
            raise LinkRefused(NOT_FOUND, f"The messaging entity '{base}' could not be found.")
        return queue


def _path(address: str) -> str:
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()
