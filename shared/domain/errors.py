"""Everything that can go wrong, as one tree; adapters translate into it, nothing else is caught.

PipelineError
├── TransientError          try the same again later (429, 5xx, connection)
│   ├── Occupied            other work of ours comes first; this has not begun, and no deadline runs
│   └── StateRefused        this app's own tables and blobs say no (401, 403): waited for, as if they were down
├── PermanentError          the thing said no; a person must change something
│   ├── ConfigurationError  a setting or a role is wrong (401, 403)
│   ├── InvalidManifest     the artifact can't be used
│   └── Unalterable         what exists under this name is another thing, and stays so
├── ConflictError           somebody else wrote the row first: decide again on the fresh one
├── IllegalTransition       an event does not fit the state: nothing happens
└── RequestRefused          an HTTP caller asked for what can't be done (carries the status)
"""

from datetime import timedelta


class PipelineError(Exception):
    """The root of the tree."""


class TransientError(PipelineError):
    """May pass by itself; `retry_after` is the service's own wish, if it had one."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Occupied(TransientError):
    """What it needs is taken by other work of this app; it has not begun."""


class StateRefused(TransientError):
    """This app may not use its own state: what it is at work on has not failed, and goes on when it may again.

    Somebody must set it right, as with a `ConfigurationError`; whoever asks over HTTP is told the same.
    """


class PermanentError(PipelineError):
    """Trying again changes nothing."""


class ConfigurationError(PermanentError):
    """The app is not allowed to do, or can't find, what its settings name."""


class InvalidManifest(PermanentError):
    """The artifact is refused; the message names the path and the fields to use."""


class Unalterable(PermanentError):
    """What exists under this name is another thing and can't be changed: a new release has another name."""


class ConflictError(PipelineError):
    """A conditional write lost: the row is no longer the one that was read."""


class IllegalTransition(PipelineError):
    """The event has no edge from the state it met."""


class RequestRefused(PipelineError):
    """A caller's request can't be granted; becomes `application/problem+json`."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
