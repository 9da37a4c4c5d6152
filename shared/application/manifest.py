"""Use cases: `changed_circuits.json` in every shape builds write it, as one typed manifest or a refusal that helps."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, StrictBool, ValidationError

from shared.application.ports import MOST_ARTIFACT_BYTES
from shared.domain.errors import InvalidManifest
from shared.domain.model import Circuit
from shared.domain.naming import CIRCUIT_PART, model_name, release_seq
from shared.domain.plan import Manifest, RequestedCircuit
from shared.domain.words import clean

__all__ = ["REMEDY", "Manifest", "parse_manifest"]

MOST_CIRCUITS = 5_000
MOST_PROBLEMS = 20
LONGEST_TEXT = 256
PATH = re.compile(r"(?:^|/)releases/(?P<release_id>[^/]+)/(?P<build_id>[^/]+)/changed_circuits\.json$")
VERSION_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNKNOWN_BUILD = "unknown"
REMEDY = (
    "Upload it as releases/{release_id}/{build_id}/changed_circuits.json "
    '(for example releases/20251210.1/12345/changed_circuits.json) with {"schema_version": 1, '
    '"release_id": "20251210.1", "build_id": "12345", "circuits": [{"plant_id": "PLANT001", '
    '"circuit_id": "CIRCUIT01", "cutoff_date": "2025-11-01"}]}; only "circuits" with these three fields is required '
    "in the file if the path carries the ids."
)


# ------------------------------------------------------------------------------------------- the fields


def _text(value: object) -> object:
    """Integers are how some builds write ids and versions; anything but text and integers is refused."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a string")  # noqa: TRY004  # pydantic reports ValueErrors only
    text = str(value).strip()
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"is longer than {LONGEST_TEXT} characters")
    if not text.isprintable():
        raise ValueError("holds characters that can't be printed")
    return text


def _id(value: object) -> object:
    text = _text(value)
    if not text:
        raise ValueError("is empty")
    if not CIRCUIT_PART.fullmatch(str(text)):
        raise ValueError(f"is {text!r}; letters, digits, '-' and '_' are possible, starting with a letter or digit")
    return text


def _version(value: object) -> object:
    text = _text(value)
    if text and not VERSION_TEXT.fullmatch(str(text)):
        raise ValueError(f"is {text!r}; letters, digits, '.', '-' and '_' are possible")
    return text


def _cutoff(value: object) -> object:
    text = _version(value)
    if not text:
        raise ValueError("is empty")
    return text


def _note(value: object) -> str:
    """Told to people, never decided by: what is no text there is left out, not refused."""
    return clean(str(value))[:LONGEST_TEXT] if isinstance(value, str | int) else ""


def _person(value: object) -> str:
    """Who asked may be compared with who decides, so it is never cut."""
    text = clean(str(value)) if isinstance(value, str | int) else ""
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"has {len(text)} characters; {LONGEST_TEXT} are possible")
    return text


Text = Annotated[str, BeforeValidator(_text)]
Note = Annotated[str, BeforeValidator(_note)]
Id = Annotated[str, BeforeValidator(_id)]
Version = Annotated[str, BeforeValidator(_version)]
Cutoff = Annotated[str, BeforeValidator(_cutoff)]


class _Entry(BaseModel):
    """A circuit; whatever else stands there (whole training configurations do) is kept as evidence only."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    plant_id: Id
    circuit_id: Id
    cutoff_date: Cutoff
    model_name: Text = ""
    model_version: Version = ""
    change_type: Note = ""
    allow_older_cutoff: StrictBool = False
    commit_sha: Note = ""


class _Head(BaseModel):
    """What stands beside the list."""

    model_config = ConfigDict(extra="ignore")

    schema_version: Literal[1] = 1
    release_id: Text = ""
    build_id: Text = ""
    commit_sha: Note = ""
    requested_by: Annotated[str, BeforeValidator(_person)] = ""


# -------------------------------------------------------------------------------------------- the parser


def parse_manifest(content: bytes, *, path: str = "", metadata: Mapping[str, str] | None = None) -> Manifest:
    """Understand an artifact that lay at `path` (empty: it came with a request).

    Raises:
        InvalidManifest: with every problem and the circuits they are about; `REMEDY` says how to do it right.
    """
    metadata = metadata or {}
    data = _json(content)
    head, raw = _head_and_entries(data)
    entries = _entries(raw)
    _refuse_duplicates(entries)
    release_id = _release_id(head, path, metadata)
    build_id, warnings = _build_id(head, path, metadata)
    if not path.isprintable():
        raise InvalidManifest("its path holds characters that can't be printed")
    return Manifest(
        release_id=release_id,
        build_id=build_id,
        circuits=tuple(_requested(entry) for entry in entries),
        commit_sha=head.commit_sha or _common_commit(entries),
        requested_by=head.requested_by,
        warnings=(*warnings, *_cutoff_warnings(entries)),
    )


def _json(content: bytes) -> object:
    if len(content) > MOST_ARTIFACT_BYTES:
        raise InvalidManifest(f"it has more than {MOST_ARTIFACT_BYTES // 1024 // 1024} MiB")
    if not content.strip():
        raise InvalidManifest("it is empty")
    try:
        # `loads` itself tells UTF-8 with or without a byte order mark from UTF-16, which PowerShell writes.
        return json.loads(content.removeprefix(b"\xef\xbb\xbf"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"it is no UTF-8 text ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise InvalidManifest(f"it is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidManifest(f"it is no usable JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two keys with one name JSON libraries keep either; nobody shall have to guess which."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:LONGEST_TEXT]!r} stands twice in one object")
    return found


def _head_and_entries(data: object) -> tuple[_Head, list[object]]:
    if isinstance(data, list):
        return _Head(), data
    if not isinstance(data, dict):
        raise InvalidManifest('it must be an object with "circuits", or a list of circuits')
    if "circuits" not in data:
        names = ", ".join(repr(name[:40]) for name in list(data)[:8]) or "nothing"
        raise InvalidManifest(f'the list "circuits" is missing; found {names}')
    if not isinstance(data["circuits"], list):
        raise InvalidManifest('"circuits" must be a list')
    try:
        return _Head.model_validate(data), data["circuits"]
    except ValidationError as error:
        raise InvalidManifest("; ".join(_problems(error))) from error


def _entries(raw: Sequence[object]) -> list[_Entry]:
    if len(raw) > MOST_CIRCUITS:
        raise InvalidManifest(f"it lists {len(raw)} circuits; {MOST_CIRCUITS} are possible in one release")
    entries: list[_Entry] = []
    problems: list[str] = []
    for position, item in enumerate(raw):
        try:
            entry = _Entry.model_validate(item)
        except ValidationError as error:
            said = ", ".join(_problems(error, item if isinstance(item, Mapping) else {}))
            problems.append(f"{_who(item, position)}: {said}")
        else:
            entries.append(entry)
            problems += _name_problem(entry)
    if problems:
        more = len(problems) - MOST_PROBLEMS
        raise InvalidManifest("; ".join(problems[:MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else ""))
    return entries


def _who(item: object, position: int) -> str:
    ids = (
        [clean(str(item.get(name, "?")))[:100] for name in ("plant_id", "circuit_id")]
        if isinstance(item, Mapping)
        else []
    )
    return f"circuits[{position}]" + (f" ({'/'.join(ids)})" if ids else "")


def _problems(error: ValidationError, item: Mapping[str, object] | None = None) -> list[str]:
    return [_problem(detail, item or {}) for detail in error.errors(include_url=False)]


def _problem(detail: Any, item: Mapping[str, object]) -> str:
    field = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        hint = ""
        if field == "cutoff_date" and "mltable_version" in item:
            hint = f" (mltable_version {str(item['mltable_version'])[:64]!r} stands there: write it as cutoff_date)"
        return f"{field} is missing{hint}"
    if not field:
        return "must be an object"
    return f"{field} {detail['msg'].removeprefix('Value error, ')}"


def _name_problem(entry: _Entry) -> list[str]:
    circuit = Circuit(plant_id=entry.plant_id, circuit_id=entry.circuit_id)
    expected = model_name(circuit)
    if entry.model_name in {"", expected}:
        return []
    return [f"{circuit}: model_name is {entry.model_name!r}, but this circuit's model is named {expected!r}"]


def _refuse_duplicates(entries: Sequence[_Entry]) -> None:
    counts = Counter(f"{entry.plant_id}/{entry.circuit_id}" for entry in entries)
    twice = [circuit for circuit, count in counts.items() if count > 1]
    if twice:
        more = f" and {len(twice) - MOST_PROBLEMS} more" if len(twice) > MOST_PROBLEMS else ""
        raise InvalidManifest(f"listed more than once: {', '.join(twice[:MOST_PROBLEMS])}{more}")


def _release_id(head: _Head, path: str, metadata: Mapping[str, str]) -> str:
    sources = _sources("release_id", head.release_id, path, metadata)
    if not sources:
        raise InvalidManifest("release_id is missing: it stands neither in the file, nor in the path, nor in metadata")
    if len(set(sources.values())) > 1:
        told = ", ".join(f"{text!r} in the {where}" for where, text in sources.items())
        raise InvalidManifest(f"release_id differs: {told}")
    release_id = next(iter(sources.values()))
    release_seq(release_id)
    return release_id


def _build_id(head: _Head, path: str, metadata: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    sources = _sources("build_id", head.build_id, path, metadata)
    if not sources:
        return UNKNOWN_BUILD, ("build_id is missing, models can't be matched by their build",)
    build_id = next(iter(sources.values()))
    if len(build_id) > LONGEST_TEXT or not build_id.isprintable():
        raise InvalidManifest(f"build_id is longer than {LONGEST_TEXT} characters or can't be printed")
    if len(set(sources.values())) > 1:
        told = ", ".join(f"{text!r} in the {where}" for where, text in sources.items())
        return build_id, (f"build_id differs: {told}; {build_id!r} is taken",)
    return build_id, ()


def _sources(name: str, in_file: str, path: str, metadata: Mapping[str, str]) -> dict[str, str]:
    """Where an id stands, the place that counts first."""
    match = PATH.search(path)
    found = {
        "file": in_file,
        "path": match[name] if match else "",
        "blob's metadata": {key.lower(): text for key, text in metadata.items()}.get(name, "").strip(),
    }
    return {where: text for where, text in found.items() if text}


def _requested(entry: _Entry) -> RequestedCircuit:
    return RequestedCircuit(
        circuit=Circuit(plant_id=entry.plant_id, circuit_id=entry.circuit_id),
        cutoff_date=entry.cutoff_date,
        model_version=entry.model_version,
        change_type=entry.change_type,
        allow_older_cutoff=entry.allow_older_cutoff,
    )


def _common_commit(entries: Sequence[_Entry]) -> str:
    commits = {entry.commit_sha for entry in entries}
    return commits.pop() if len(commits) == 1 else ""


def _cutoff_warnings(entries: Sequence[_Entry]) -> tuple[str, ...]:
    odd = [f"{entry.plant_id}/{entry.circuit_id}" for entry in entries if not _is_date(entry.cutoff_date)]
    if not odd:
        return ()
    more = f" and {len(odd) - MOST_PROBLEMS} more" if len(odd) > MOST_PROBLEMS else ""
    return (f"cutoff_date is no date (YYYY-MM-DD), it is compared as text: {', '.join(odd[:MOST_PROBLEMS])}{more}",)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
