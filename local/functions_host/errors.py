"""Local stack, Functions host: what can go wrong in it.

HostError
├── ConfigurationError      settings, host.json or a binding cannot be used
├── IndexingError           the engine refused the app
└── InvocationLostError     the worker died, or was killed on timeout, while the invocation ran
"""


class HostError(Exception):
    """Anything the host itself reports."""


class ConfigurationError(HostError):
    """Settings, host.json or a binding cannot be used as they stand."""


class IndexingError(HostError):
    """The engine refused the app; the message is the engine's own."""


class InvocationLostError(HostError):
    """The worker that ran the invocation is gone; whether the function's work was done is unknown."""
