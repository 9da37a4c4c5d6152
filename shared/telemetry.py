"""Log lines with fields: a fixed message, and what it is about in stable keys. Never a token, key or link."""

import logging


class FieldLogger:
    """`log.info("circuit moved", action="circuit_moved", release_id=…, circuit=…)`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, *, action: str, **fields: object) -> None:
        self._write(logging.DEBUG, message, action, fields)

    def info(self, message: str, *, action: str, **fields: object) -> None:
        self._write(logging.INFO, message, action, fields)

    def warning(self, message: str, *, action: str, **fields: object) -> None:
        self._write(logging.WARNING, message, action, fields)

    def error(self, message: str, *, action: str, **fields: object) -> None:
        self._write(logging.ERROR, message, action, fields)

    def _write(self, level: int, message: str, action: str, fields: dict[str, object]) -> None:
        self._logger.log(level, message, extra={"action": action, **{n: str(v) for n, v in fields.items()}})


def quiet_sdks() -> None:
    """The SDKs tell every request and its headers at INFO: ten lines a table write, and none of them ours."""
    for name in ("azure", "uamqp", "urllib3", "msal"):
        logging.getLogger(name).setLevel(logging.WARNING)


log = FieldLogger(logging.getLogger("release_pipeline"))
