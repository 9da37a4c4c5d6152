"""The row of a message to a person."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Moment(StrEnum):
    """What people are told about."""

    GATE_OPENED = "gate_opened"
    GATE_REMINDER = "gate_reminder"
    GATE_OUT_OF_REACH = "gate_out_of_reach"
    """Those who may approve are too few."""
    GATE_DECIDED = "gate_decided"
    GATE_EXPIRED = "gate_expired"
    RELEASE_SUCCEEDED = "release_succeeded"
    RELEASE_FAILED = "release_failed"
    RELEASE_ENDED = "release_ended"
    ROLLBACK_ENDED = "rollback_ended"
    CHECK_FAILED = "check_failed"
    WAY_BACK_STALLED = "way_back_stalled"
    DRIFT_FOUND = "drift_found"
    ARTIFACT_INVALID = "artifact_invalid"


class Channel(StrEnum):
    EMAIL = "email"
    TEAMS = "teams"


class NoticeState(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message to a person (row `n|{moment}|{channel}|{recipient}`), written with the transition behind it."""

    release_id: str
    moment: Moment
    subject: str
    """What within the release it is about: a gate's name and nonce, or empty."""
    channel: Channel
    recipient: str
    created_at: datetime
    state: NoticeState = NoticeState.PENDING
    attempts: int = 0
    redrive: int = 0
    due_at: datetime | None = None
    last_error: str = ""
