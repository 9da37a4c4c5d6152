"""The rows of a release and of its endpoints: what is true at one moment, as frozen values.

Every row is written conditionally by the state store; nothing here knows how. Rows of older versions still
parse because every field that came later has a default. Each row stands beside its phases; importers take all of them
from here.
"""

from shared.domain.model.bounds import MailsSent, Slot
from shared.domain.model.circuit_runs import NEUTRAL, OVERTAKEN, UNSUCCESSFUL, CircuitPhase, CircuitRun, Round
from shared.domain.model.common import LONG_AGO, Circuit, Environment, HistoryEntry
from shared.domain.model.endpoints import EndpointLock, HoldEntry, LedgerEntry, LedgerNote
from shared.domain.model.gates import Gate, GateDecision, GateName, GateState
from shared.domain.model.notices import Channel, Moment, Notice, NoticeState
from shared.domain.model.releases import (
    FANOUT_END,
    FANOUT_START,
    TERMINAL_RELEASE_PHASES,
    ProcessKind,
    Release,
    ReleasePhase,
)

__all__ = [
    "FANOUT_END",
    "FANOUT_START",
    "LONG_AGO",
    "NEUTRAL",
    "OVERTAKEN",
    "TERMINAL_RELEASE_PHASES",
    "UNSUCCESSFUL",
    "Channel",
    "Circuit",
    "CircuitPhase",
    "CircuitRun",
    "EndpointLock",
    "Environment",
    "Gate",
    "GateDecision",
    "GateName",
    "GateState",
    "HistoryEntry",
    "HoldEntry",
    "LedgerEntry",
    "LedgerNote",
    "MailsSent",
    "Moment",
    "Notice",
    "NoticeState",
    "ProcessKind",
    "Release",
    "ReleasePhase",
    "Round",
    "Slot",
]
