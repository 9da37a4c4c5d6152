"""Local stack, Functions host: route templates of HTTP triggers, matched as ASP.NET Core matches them.

A wrong method or a failed constraint is no match, which the client sees as 404.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from local.functions_host.bindings import Function, HttpTrigger
from local.functions_host.errors import ConfigurationError

PARAMETER = re.compile(r"\{((?:[^{}]|\{\{|\}\})*)\}")
NAME = re.compile(
    r"(?P<stars>\*{0,2})(?P<name>\w+)(?P<constraints>(?::[^=?]*(?:\(.*\))?)*)(?:=(?P<default>.*?))?(?P<optional>\?)?"
)


def _parses(convert: Callable[[str], object]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            convert(value)
        except ValueError:
            return False
        return True

    return check


SIMPLE_CONSTRAINTS: Mapping[str, Callable[[str], bool]] = {
    "int": lambda value: bool(re.fullmatch(r"[+-]?\d+", value)) and -(2**31) <= int(value) < 2**31,
    "long": lambda value: bool(re.fullmatch(r"[+-]?\d+", value)) and -(2**63) <= int(value) < 2**63,
    "bool": lambda value: value.lower() in {"true", "false"},
    "alpha": lambda value: bool(re.fullmatch(r"[A-Za-z]*", value)),
    "guid": _parses(uuid.UUID),
    "datetime": _parses(datetime.fromisoformat),
    "decimal": _parses(float),
    "double": _parses(float),
    "float": _parses(float),
    "required": bool,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    function: Function
    route_params: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    constraints: tuple[Callable[[str], bool], ...]
    optional: bool
    catch_all: bool
    default: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One part between slashes; literals may surround and separate its parameters."""

    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]
    rank: int  # ASP.NET's precedence: literal, mixed, constrained, free, catch-all

    @property
    def may_be_absent(self) -> bool:
        return any(p.optional or p.catch_all or p.default is not None for p in self.parameters)


class Router:
    """All HTTP functions of an app, the most specific route first."""

    def __init__(self, functions: tuple[Function, ...], prefix: str) -> None:
        self._routes = sorted(_routes(functions, prefix), key=lambda route: [part.rank for part in route[2]])

    def match(self, method: str, raw_path: str) -> Match | None:
        """The function that answers, if any. `raw_path` is still percent-encoded."""
        parts = [unquote(part) for part in raw_path.strip("/").split("/")] if raw_path.strip("/") else []
        for function, trigger, segments in self._routes:
            if trigger.methods and method not in trigger.methods:
                continue
            values = _match_segments(segments, parts)
            if values is not None:
                return Match(function=function, route_params=values)
        return None


def _routes(
    functions: tuple[Function, ...], prefix: str
) -> Iterator[tuple[Function, HttpTrigger, tuple[Segment, ...]]]:
    for function in functions:
        if isinstance(function.trigger, HttpTrigger):
            template = "/".join(part for part in (prefix, function.trigger.route) if part)
            try:
                yield function, function.trigger, parse_template(template)
            except (ConfigurationError, re.error) as error:
                raise ConfigurationError(f"function '{function.name}': route '{template}': {error}") from error


def parse_template(template: str) -> tuple[Segment, ...]:
    """The segments of a route template. Raises: ConfigurationError."""
    # Slashes inside braces (a regex constraint) separate nothing.
    parts = re.findall(r"(?:\{(?:[^{}]|\{\{|\}\})*\}|[^/])+", template)
    return tuple(_segment(part) for part in parts)


def _segment(text: str) -> Segment:
    pattern, parameters, end = "", [], 0
    for found in PARAMETER.finditer(text):
        parameter = _parameter(found[1])
        parameters.append(parameter)
        body = ".*" if parameter.catch_all else ".+?" if found.end() < len(text) else ".+"
        pattern += re.escape(text[end : found.start()]) + f"(?P<{parameter.name}>{body})"
        end = found.end()
    pattern += re.escape(text[end:])
    return Segment(
        pattern=re.compile(pattern, re.IGNORECASE | re.DOTALL),
        parameters=tuple(parameters),
        rank=_rank(text, parameters),
    )


def _rank(text: str, parameters: list[Parameter]) -> int:
    if not parameters:
        return 1
    if parameters[0].catch_all:
        return 5
    if not PARAMETER.fullmatch(text):
        return 2
    return 3 if parameters[0].constraints else 4


def _parameter(text: str) -> Parameter:
    found = NAME.fullmatch(text)
    if found is None:
        raise ConfigurationError(f"'{{{text}}}' is no route parameter")
    return Parameter(
        name=found["name"],
        constraints=tuple(_constraint(each) for each in _split_constraints(found["constraints"])),
        optional=bool(found["optional"]),
        catch_all=bool(found["stars"]),
        default=found["default"],
    )


def _split_constraints(text: str) -> list[str]:
    return re.findall(r":(regex\(.*\)|[^:(]+(?:\([^)]*\))?)", text)


def _constraint(text: str) -> Callable[[str], bool]:
    name, _, rest = text.partition("(")
    argument = rest.removesuffix(")")
    if name in SIMPLE_CONSTRAINTS:
        return SIMPLE_CONSTRAINTS[name]
    if name == "regex":
        pattern = re.compile(argument.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
        return lambda value: bool(pattern.search(value))
    numbers = [int(number) for number in argument.split(",")] if argument else []
    match name, numbers:
        case "length", [exact]:
            return lambda value: len(value) == exact
        case "length", [low, high]:
            return lambda value: low <= len(value) <= high
        case "minlength", [low]:
            return lambda value: len(value) >= low
        case "maxlength", [high]:
            return lambda value: len(value) <= high
        case "min", [low]:
            return lambda value: _integer(value, low, None)
        case "max", [high]:
            return lambda value: _integer(value, None, high)
        case "range", [low, high]:
            return lambda value: _integer(value, low, high)
        case _:
            raise ConfigurationError(f"the route constraint '{text}' is unknown")


def _integer(value: str, low: int | None, high: int | None) -> bool:
    if not re.fullmatch(r"[+-]?\d+", value):
        return False
    return (low is None or int(value) >= low) and (high is None or int(value) <= high)


def _match_segments(segments: tuple[Segment, ...], parts: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for index, segment in enumerate(segments):
        catch_all = any(parameter.catch_all for parameter in segment.parameters)
        part = "/".join(parts[index:]) if catch_all else "".join(parts[index : index + 1])
        if not part:
            if not segment.may_be_absent:
                return None
            values |= {p.name: p.default for p in segment.parameters if p.default is not None}
            continue
        found = segment.pattern.fullmatch(part)
        if found is None or not _satisfied(segment, found.groupdict()):
            return None
        values |= found.groupdict()
        if catch_all:
            return values
    return values if len(parts) <= len(segments) else None


def _satisfied(segment: Segment, values: Mapping[str, str]) -> bool:
    return all(check(values[p.name]) for p in segment.parameters for check in p.constraints)
