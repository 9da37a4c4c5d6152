"""Adapter table_store: frozen dataclasses to columns and back, by their annotations.

Rows of older and newer versions still parse: unknown columns are ignored, missing ones take the field's default.
"""

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from azure.data.tables import EdmType, EntityProperty

from shared.domain.errors import PermanentError
from shared.domain.model import Circuit
from shared.domain.policy import Policy, policy_from_json

type Columns = dict[str, Any]

LONGEST = {"error": 2_000, "why": 500}
CHUNK_ASCII = 32_000
CHUNK_UNICODE = 16_000
"""A string property holds 32,768 UTF-16 units; a character beyond the basic plane takes two of them."""
INT32_END = 2**31


def stamp(at: datetime) -> str:
    """UTC with fixed width: stamps compare as text the way times compare, so filters work on the server."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def encode(row: Any) -> Columns:
    """The columns of a dataclass; None is left out, what is no scalar becomes JSON."""
    columns: Columns = {}
    for f in fields(row):
        value = getattr(row, f.name)
        match value:
            case None:
                continue
            case Circuit():
                columns |= {"plant_id": value.plant_id, "circuit_id": value.circuit_id}
            case bool():
                columns[f.name] = value
            case int():
                columns[f.name] = _integer(int(value))
            case str():
                columns |= chunks(f.name, cut(f.name, str(value)))
            case datetime():
                columns[f.name] = stamp(value)
            case _:
                columns |= chunks(f.name, dumps(value))
    return columns


def _integer(value: int) -> int | EntityProperty:
    """The SDK sends plain integers as Int32 and refuses bigger ones."""
    return value if -INT32_END <= value < INT32_END else EntityProperty(value, EdmType.INT64)


def dumps(value: object) -> str:
    return json.dumps(_plain(value), separators=(",", ":"))


def cut(name: str, text: str) -> str:
    """Texts that people wrote or services said are kept to a length a row can bear."""
    longest = LONGEST.get(name)
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def chunks(name: str, text: str) -> Columns:
    """A long text in several columns: `hist`, `hist_1`, `hist_2` and so on."""
    size = CHUNK_ASCII if text.isascii() else CHUNK_UNICODE
    parts = [text[i : i + size] for i in range(0, len(text), size)] or [""]
    return {name if i == 0 else f"{name}_{i}": part for i, part in enumerate(parts)}


def _plain(value: object) -> object:
    match value:
        case datetime():
            return stamp(value)
        case Policy():
            return value.as_json()
        case Enum():
            return value.value
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case _ if is_dataclass(value):
            return dict(_members(value))
        case _:
            return value


def _members(value: Any) -> Iterator[tuple[str, object]]:
    """The fields of a dataclass inside a JSON column; those at their default are left out."""
    for f in fields(value):
        inner = getattr(value, f.name)
        if inner != f.default:
            yield f.name, _plain(cut(f.name, inner) if isinstance(inner, str) else inner)


@cache
def _hints(cls: Hashable) -> dict[str, Any]:
    return get_type_hints(cls)


def decode[Row](cls: type[Row], columns: Mapping[str, Any]) -> Row:
    """The inverse of `encode`.

    Raises:
        PermanentError: a column without a default is missing, or holds what this version does not know.
    """
    values: dict[str, Any] = {}
    where = f"row {columns.get('PartitionKey')} {columns.get('RowKey')}"
    hints: dict[str, Any] = _hints(cls)  # type: ignore[arg-type]  # every class can be hashed
    for f in fields(cls):  # type: ignore[arg-type]  # every Row is a dataclass
        hint = hints[f.name]
        if hint is Circuit:
            values[f.name] = _circuit(columns, where)
        elif f.name in columns:
            try:
                values[f.name] = _value(hint, f.name, columns)
            except (ValueError, TypeError, KeyError) as error:
                raise PermanentError(f"{where}: column {f.name} can't be read: {error}") from error
        elif f.default is MISSING and f.default_factory is MISSING:
            raise PermanentError(f"{where} has no column {f.name}")
    return cls(**values)


def _circuit(columns: Mapping[str, Any], where: str) -> Circuit:
    try:
        return Circuit(plant_id=columns["plant_id"], circuit_id=columns["circuit_id"])
    except KeyError as missing:
        raise PermanentError(f"{where} has no column {missing}") from missing


def _value(hint: Any, name: str, columns: Mapping[str, Any]) -> object:
    value = columns[name]
    if isinstance(value, EntityProperty):
        return value.value
    if not isinstance(value, str):
        return _typed(hint, value)
    text = joined(name, columns)
    scalar = hint is str or _is_time(hint) or (isinstance(hint, type) and issubclass(hint, Enum))
    return _typed(hint, text if scalar else json.loads(text))


def _is_time(hint: Any) -> bool:
    """`datetime`, or `datetime | None`; several of them are JSON."""
    return hint is datetime or (datetime in get_args(hint) and get_origin(hint) is not tuple)


def joined(name: str, columns: Mapping[str, Any]) -> str:
    """The text that `chunks` took apart."""
    parts = [str(columns[name])]
    while (more := f"{name}_{len(parts)}") in columns:
        parts.append(str(columns[more]))
    return "".join(parts)


def _typed(hint: Any, value: Any) -> Any:
    """A JSON or column value as what the annotation says."""
    if _is_time(hint):
        return datetime.fromisoformat(value)
    if hint is Policy:
        return policy_from_json(value)
    if get_origin(hint) is tuple:
        return tuple(_typed(get_args(hint)[0], inner) for inner in value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if isinstance(hint, type) and is_dataclass(hint):
        return hint(**{f.name: _typed(_hints(hint)[f.name], value[f.name]) for f in fields(hint) if f.name in value})
    return value
