"""What the use cases need from the world, by need; adapters provide it, tests bring fakes of their own.

A module per port, with the values that go through it; importers take all of them from here. Every method may raise
`TransientError` (try later) or `ConfigurationError` (a role or setting is wrong); further errors are named where they
occur.
"""

from shared.application.ports.clock import Clock
from shared.application.ports.endpoint_store import EndpointStore
from shared.application.ports.everything import Estate, Naming, Ports
from shared.application.ports.evidence_store import ARTIFACT_NAME, MOST_ARTIFACT_BYTES, EvidenceStore
from shared.application.ports.gate_tokens import GateClaim, GateLink, GateTokens, RollbackClaim, ViewClaim
from shared.application.ports.mail_log import MailLog
from shared.application.ports.message_bus import MessageBus, Sendable
from shared.application.ports.model_gateway import (
    TERMINAL_JOB_STATUSES,
    Deployment,
    DeploymentSpec,
    Endpoint,
    Job,
    ModelGateway,
    ModelVersion,
    PromotedModel,
    ProvisioningState,
    RegionUse,
)
from shared.application.ports.notifier import Audience, Letter, Notifier
from shared.application.ports.release_store import (
    ActiveRelease,
    Change,
    HistoryLine,
    Insert,
    ReleaseRow,
    ReleaseStore,
    Update,
)
from shared.application.ports.sender_budget import SenderBudget
from shared.application.ports.slot_store import SlotStore
from shared.application.ports.versioned import Versioned

__all__ = [
    "ARTIFACT_NAME",
    "MOST_ARTIFACT_BYTES",
    "TERMINAL_JOB_STATUSES",
    "ActiveRelease",
    "Audience",
    "Change",
    "Clock",
    "Deployment",
    "DeploymentSpec",
    "Endpoint",
    "EndpointStore",
    "Estate",
    "EvidenceStore",
    "GateClaim",
    "GateLink",
    "GateTokens",
    "HistoryLine",
    "Insert",
    "Job",
    "Letter",
    "MailLog",
    "MessageBus",
    "ModelGateway",
    "ModelVersion",
    "Naming",
    "Notifier",
    "Ports",
    "PromotedModel",
    "ProvisioningState",
    "RegionUse",
    "ReleaseRow",
    "ReleaseStore",
    "RollbackClaim",
    "Sendable",
    "SenderBudget",
    "SlotStore",
    "Update",
    "Versioned",
    "ViewClaim",
]
