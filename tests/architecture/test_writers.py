"""Who writes rows and who writes defaults is a decision: the documents name everybody who does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = ROOT / "shared" / "application"
WRITES = {
    "releases": {
        "begin",
        "finish",
        "forget",
        "reactivate",
        "commit",
        "list_circuits",
        "remove",
        "remove_rest",
        "note_rows_gone",
        "forget_listed",
    },
    "endpoints": {"write_lock", "remove_holds", "note", "remove_ledger"},
    "slots": {"write_slot"},
    "log": {"write_sent"},
}
"""What changes rows, by the name under which use cases have the port."""
DEFAULTS = {"models": {"set_default", "clear_default"}}


def calls(source: str) -> Iterator[tuple[str, str]]:
    """(name of the port, method) of every call in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            port = node.func.value
            name = port.attr if isinstance(port, ast.Attribute) else port.id if isinstance(port, ast.Name) else ""
            yield name, node.func.attr


def callers(asked: dict[str, set[str]]) -> set[str]:
    """The use cases that call one of these."""
    return {
        str(path.relative_to(APPLICATION))
        for path in APPLICATION.rglob("*.py")
        if any(method in asked.get(port, ()) for port, method in calls(path.read_text(encoding="utf-8")))
    }


def named_in_the_document() -> set[str]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("### Who else writes rows\n")[2].partition("\n## ")[0]
    return set(re.findall(r"\(\.\./shared/application/([\w/]+\.py)\)", section))


def test_whoever_writes_rows_beside_the_dispatcher_is_named_with_the_reason() -> None:
    """A new one belongs into the dispatcher, or into the document's table."""
    assert callers(WRITES) == {"dispatcher.py"} | named_in_the_document()


def test_a_default_is_written_by_converge_alone() -> None:
    """Nobody writes his own default; one says what is wanted."""
    assert callers(DEFAULTS) == {"convergence.py"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("self.ports.releases.commit(row)", True),
        ("releases = ports.releases\nreleases.commit(row)", True),
        ("ports.endpoints.write_lock(lock, etag=None)", True),
        ("ports.releases.release(release_id)", False),
        ("shelf.commit(row)", False),
    ],
)
def test_a_write_is_seen_by_its_port_and_method(source: str, found: bool) -> None:
    """Also where the port was taken out of the ports before."""
    assert any(method in WRITES.get(port, ()) for port, method in calls(source)) is found


def test_the_methods_that_write_are_those_of_the_ports() -> None:
    """A renamed method must not let a writer go unseen."""
    names = {
        node.name
        for path in (APPLICATION / "ports").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert {method for methods in (WRITES | DEFAULTS).values() for method in methods} - names == set()
