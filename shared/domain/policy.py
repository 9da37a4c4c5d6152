"""The numbers the pipeline runs by; a copy is frozen into every release when it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta

FROM_INVOCATION, FROM_RUNNING = "invocation", "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedLine:
    """D9: a log line that looks like an error and is none."""

    text: str
    """What the line contains."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Waiting times, limits and counts. Defaults are the source document's values."""

    poll: timedelta = timedelta(seconds=30)
    """R24: how often a running operation is looked at again."""
    inspect_limit: timedelta = timedelta(minutes=10)
    promote_limit: timedelta = timedelta(minutes=60)
    deploy_limit: timedelta = timedelta(minutes=60)
    smoke_limit: timedelta = timedelta(minutes=15)
    """R25: from the invocation of the smoke job to its end, or from where `smoke_clock` says."""
    smoke_clock: str = FROM_INVOCATION
    """D8: `invocation`, or `running`: from when the job has left the queue."""
    smoke_queue_limit: timedelta = timedelta(hours=1)
    """D8: how long a job may queue if its clock starts with running; else its time in the queue counts anyway."""
    activate_limit: timedelta = timedelta(minutes=10)
    restore_limit: timedelta = timedelta(minutes=10)
    hold: timedelta = timedelta(days=14)
    """How long a rolled-back circuit is not activated by itself."""
    gate_limit: timedelta = timedelta(hours=24)
    """R8."""
    gate_refresh: timedelta = timedelta(minutes=15)
    """How often an open gate's evidence is looked at again."""
    gate_reminder_before: timedelta = timedelta(hours=4)
    overdue_after: timedelta = timedelta(seconds=90)
    """A row is overdue this long after the check it waits for."""
    retry_first: timedelta = timedelta(seconds=5)
    """Back-off after a transient error doubles from here up to `retry_most`."""
    retry_most: timedelta = timedelta(minutes=5)
    min_approvers: int = 1
    requester_may_approve: bool = True
    """Off: whoever asked for a release does not decide at its gates."""
    smoke_slots: int = 5
    """D8: smoke tests at once."""
    test_instance_count: int = 1
    test_concurrency: int = 2
    production_instance_count: int = 2
    production_concurrency: int = 4
    mini_batch_size: int = 10
    allowed_log_lines: tuple[AllowedLine, ...] = ()
    """D9: none unless somebody gave a reason."""
    endpoint_quota: int = 100
    """D4: the service's documented limit per region and subscription; adjustable there, hence here."""
    deployment_quota: int = 500
    """D4: likewise."""
    deployments_per_endpoint: int = 20
    """D4: likewise, per endpoint."""
    deployments_kept: int = 3
    """D4: how many of our deployments pruning leaves on an endpoint."""
    promotion_mode: str = "auto"
    """D7: `copy`, `share`, or `auto` (copy when the model fits into temporary storage)."""

    @property
    def smoke_net(self) -> timedelta:
        """The longest that a smoke test holds its slot: to be started, to queue, to run, and to be looked at once more."""
        queues = self.smoke_queue_limit if self.smoke_clock == FROM_RUNNING else timedelta()
        return self.smoke_limit + queues + self.smoke_limit + self.retry_most

    def backoff(self, attempt: int) -> timedelta:
        """The wait before try number `attempt` (counted from 1) after a transient error."""
        factor: int = 2 ** min(attempt - 1, 20)
        return min(self.retry_first * factor, self.retry_most)

    def as_json(self) -> dict[str, int | float | str | dict[str, str]]:
        """Durations as seconds, for the release row and its evidence."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        allowed = {"allowed_log_lines": {line.text: line.reason for line in self.allowed_log_lines}}
        return {name: v.total_seconds() if isinstance(v, timedelta) else v for name, v in values.items()} | allowed


def policy_from_json(data: Mapping[str, object]) -> Policy:
    """The inverse of `Policy.as_json`; names it does not know are ignored, missing ones take the default."""
    known: dict[str, object] = {}
    for f in fields(Policy):
        if f.name in data:
            value = data[f.name]
            if isinstance(f.default, timedelta) and isinstance(value, int | float):
                known[f.name] = timedelta(seconds=value)
            elif isinstance(f.default, bool):
                known[f.name] = bool(value)
            elif isinstance(f.default, int) and isinstance(value, int | float):
                known[f.name] = int(value)
            elif isinstance(value, Mapping):
                known[f.name] = tuple(AllowedLine(text=text, reason=reason) for text, reason in value.items())
            else:
                known[f.name] = value
    return Policy(**known)  # type: ignore[arg-type]  # names and types were just checked against the fields
