"""docs/requirements.md: what must be true (tools/requirements.toml) and which tests say that they show it.

A test names a number in its docstring: `R25`, `R13-R15`, `D8`, `I4`, `known failure 9`, `known failures 2 and 3`. A check
that the simulation makes after every write names it as the first argument of `fail`.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tools.markdown import table

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(__file__).with_suffix(".toml")
TESTS = ROOT / "tests"
NUMBERS = re.compile(r"\b([RDI])(\d+)(?:-\1?(\d+))?\b")
FAILURES = re.compile(r"known failures? (\d+)(?:(?:-| and |, )(\d+))*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Requirements of one kind, by number."""

    title: str
    text: str
    lines: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """A test, or a check of the simulation, that names a requirement."""

    path: Path
    name: str


def sections() -> Sequence[Section]:
    """The list as it stands in the repository."""
    found = tomllib.loads(SOURCE.read_text(encoding="utf-8"))["section"]
    return [Section(title=one["title"], text=one.get("text", ""), lines=one["lines"]) for one in found]


def numbers_in(text: str) -> frozenset[str]:
    """The numbers that a sentence names; a known failure is an F, a range is all that lies in it."""
    spans = ((kind, int(first), int(last or first)) for kind, first, last in NUMBERS.findall(text))
    ours = {f"{kind}{n}" for kind, first, last in spans for n in range(first, last + 1)}
    failures = {f"F{n}" for told in FAILURES.finditer(text) for n in re.findall(r"\d+", told.group())}
    return frozenset(ours | failures)


def shown(tests: Path = TESTS) -> Mapping[str, Sequence[Showing]]:
    """What each number is shown by, in the order of the files."""
    found: dict[str, list[Showing]] = {}
    for path in sorted(tests.rglob("*.py")):
        for name, text in _namings(path):
            for number in numbers_in(text):
                showing = Showing(path=path, name=name)
                if showing not in found.setdefault(number, []):
                    found[number].append(showing)
    return found


def _namings(path: Path) -> Iterator[tuple[str, str]]:
    """Each test's name with its docstring, and each number that a check fails with."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                yield name, ast.get_docstring(node) or ""
            case ast.Call(func=ast.Attribute(attr="fail"), args=[ast.Constant(value=str(text)), *_]):
                yield "", text


def empty_rows(found: Mapping[str, Sequence[Showing]]) -> list[str]:
    """The requirements that nothing shows."""
    return [number for number in known_numbers() if not found.get(number)]


def known_numbers() -> list[str]:
    """Every number of the list, in its order."""
    return list(chain.from_iterable(section.lines for section in sections()))


def requirements() -> str:
    """The whole document."""
    found = shown()
    return "\n".join(
        [
            "# Requirements, and the tests that show them",
            "",
            "Comments in the code and docstrings of tests refer to these numbers. The words come from",
            "[`tools/requirements.toml`](../tools/requirements.toml), the tests from their own docstrings: a test that is",
            "gone, or no longer says what it shows, is gone from here, and a number without any test fails the tests.",
            "",
            *chain.from_iterable(_section(section, found) for section in sections()),
        ]
    )


def _section(section: Section, found: Mapping[str, Sequence[Showing]]) -> Iterator[str]:
    yield from (f"## {section.title}", "")
    if section.text:
        yield from (section.text, "")
    rows = [(number, text, _links(found.get(number, ()))) for number, text in section.lines.items()]
    yield from (table(("", "what must be true", "shown by"), rows), "")


def _links(showings: Sequence[Showing]) -> str:
    return "; ".join(f"[{_words(one)}](../{one.path.relative_to(ROOT).as_posix()})" for one in showings)


def _words(showing: Showing) -> str:
    """A test's name is a sentence."""
    return showing.name.removeprefix("test_").replace("_", " ") if showing.name else "after every write of a simulation"


def main() -> int:
    """Say how much is shown, and what is not; 1 if a row is empty."""
    found, empty = shown(), empty_rows(shown())
    tests = {one for number in known_numbers() for one in found.get(number, ())}
    sys.stdout.write(f"{len(known_numbers())} requirements, named by {len(tests)} tests; without a test: ")
    sys.stdout.write(f"{', '.join(empty) or 'none'}\n")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
