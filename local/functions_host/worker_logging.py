"""Local stack, Functions host, worker side: log records travel to the host with their invocation."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

LEVELS = (
    (logging.CRITICAL, "Critical"),
    (logging.ERROR, "Error"),
    (logging.WARNING, "Warning"),
    (logging.INFO, "Information"),
    (logging.DEBUG, "Debug"),
)
ENGINE_LOGGER = "azure.functions"
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class ChannelHandler(logging.Handler):
    """Sends each record to the host, named after the invocation it was written in."""

    def __init__(self, send: Callable[[Mapping[str, Any]], None], invocation_id: Callable[[], str | None]) -> None:
        super().__init__()
        self._send = send
        self._invocation_id = invocation_id

    def emit(self, record: logging.LogRecord) -> None:
        self._send(
            {
                "type": "log",
                "level": level_name(record.levelno),
                "system": record.name.startswith(ENGINE_LOGGER),
                "message": self._text(record),
                "invocation_id": self._invocation_id(),
            }
        )

    def _text(self, record: logging.LogRecord) -> str:
        extras = {key: value for key, value in vars(record).items() if key not in STANDARD_FIELDS}
        parts = [record.getMessage(), *(f"{key}={value}" for key, value in extras.items())]
        text = " ".join(parts)
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        return text


def level_name(number: int) -> str:
    """The host's name of a Python log level."""
    return next((name for limit, name in LEVELS if number >= limit), "Trace")
