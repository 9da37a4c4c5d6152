"""Local stack, Functions host: the frames that host and worker exchange over the worker's pipes.

A frame is `total length | length of the JSON | JSON | attachments`, lengths as unsigned 32-bit big-endian.
Bytes anywhere in the message travel as attachments, so a 100 MB body is neither escaped nor copied twice.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

LENGTH = struct.Struct("!I")


def encode_frame(message: Mapping[str, Any]) -> bytes:
    """One frame, ready to be written."""
    attachments: list[bytes] = []

    def attach(value: object) -> dict[str, int]:
        if not isinstance(value, bytes):
            raise TypeError(f"{type(value).__name__} cannot travel between host and worker")
        attachments.append(value)
        return {"$bytes": len(attachments) - 1}

    body = json.dumps(message, default=attach).encode()
    sizes = json.dumps([len(each) for each in attachments]).encode()
    head = LENGTH.pack(len(body)) + body + LENGTH.pack(len(sizes)) + sizes
    return b"".join((LENGTH.pack(len(head) + sum(map(len, attachments))), head, *attachments))


def decode_frame(payload: bytes) -> dict[str, Any]:
    """The message in a frame whose total length has already been read off."""
    body, rest = _take(payload)
    sizes, rest = _take(rest)
    attachments: list[bytes] = []
    start = 0
    for size in json.loads(bytes(sizes)):
        attachments.append(bytes(rest[start : start + size]))
        start += size

    def restore(value: dict[str, Any]) -> Any:
        return attachments[value["$bytes"]] if value.keys() == {"$bytes"} else value

    message: dict[str, Any] = json.loads(bytes(body), object_hook=restore)
    return message


def read_frame(stream: BinaryIO) -> dict[str, Any] | None:
    """The next message of a blocking stream, or None at its end."""
    size = stream.read(LENGTH.size)
    if len(size) < LENGTH.size:
        return None
    wanted = LENGTH.unpack(size)[0]
    payload = stream.read(wanted)
    return decode_frame(payload) if len(payload) == wanted else None


def _take(data: bytes | memoryview) -> tuple[memoryview, memoryview]:
    view = memoryview(data)
    end = LENGTH.size + LENGTH.unpack(view[: LENGTH.size])[0]
    return view[LENGTH.size : end], view[end:]
