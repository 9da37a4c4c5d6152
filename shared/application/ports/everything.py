"""All ports together, with what the settings say to use cases."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.application.ports.clock import Clock
from shared.application.ports.endpoint_store import EndpointStore
from shared.application.ports.evidence_store import EvidenceStore
from shared.application.ports.gate_tokens import GateTokens
from shared.application.ports.message_bus import MessageBus
from shared.application.ports.model_gateway import ModelGateway
from shared.application.ports.notifier import Audience, Notifier
from shared.application.ports.release_store import ReleaseStore
from shared.application.ports.slot_store import SlotStore
from shared.domain.model import Channel
from shared.domain.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """Name templates, from the settings; frozen into rows at intake."""

    test_endpoint: str = "be-{plant}-{circuit}"
    production_endpoint: str = "be-{plant}-{circuit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """The names of the workspaces and the Registry, as people are shown them."""

    dev_workspace: str
    dev_resource_group: str
    test_workspace: str
    prod_workspace: str
    registry_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything a use case may touch; made once per process by `bootstrap`, by tests from fakes."""

    releases: ReleaseStore
    endpoints: EndpointStore
    slots: SlotStore
    evidence: EvidenceStore
    bus: MessageBus
    models: ModelGateway
    notifiers: Mapping[Channel, Notifier]
    tokens: GateTokens
    clock: Clock
    audience: Audience
    naming: Naming
    policy: Policy
    """What new releases get."""
    estate: Estate
