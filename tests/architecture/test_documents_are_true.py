"""What the written documents name does exist: links, make targets, routes, settings, alerts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.config import Settings
from tests.support import function_list
from tools.configuration import environment_name, host_settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "local").rglob("*.md")])
README, OPERATIONS = ROOT / "README.md", ROOT / "docs" / "operations.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`")
OF_THE_STACK = {"STACK_PORT_BASE", "STACK_DIR"}
LOUD = {"warning", "error"}
METHODS = {"GET", "POST"}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Headings as GitHub makes addresses of them."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(FENCED.sub("", text)))
    return {heading.replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> Iterator[str]:
    for link in LINK.findall(FENCED.sub("", read(document))):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(read(target))):
            yield link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_files_leads_somewhere(document: Path) -> None:
    """Relative links and their anchors exist."""
    assert list(broken_links(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    """Nobody is told to run what is not there."""
    targets = set(re.findall(r"^([a-z0-9-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^\$ |`)make ([a-z][a-z0-9-]*)", read(document), re.MULTILINE))
    assert named - targets == set()


def routes() -> set[tuple[str, str]]:
    """Every method and path of the app but the stylesheet; HEAD goes with GET."""
    found = {(method.upper(), path) for path, methods in function_list.routes().items() for method in methods}
    return {(method, path) for method, path in found if method in METHODS and not path.startswith("/assets/")}


def test_the_readme_names_every_route() -> None:
    """The table of the HTTP API is complete, and has nothing that is not there."""
    named = {(method, path) for method, path in re.findall(r"`(GET|POST) (/[^`\s]*)`", read(README))}
    assert len(named) > 10
    assert named ^ routes() == set()


def test_the_example_requests_show_every_route_of_the_api() -> None:
    """A person can try each call without writing it first."""
    shown = re.findall(r"^(GET|POST) \{\{app\}\}(/\S*)$", read(ROOT / "examples" / "requests.http"), re.MULTILINE)
    calls = [(method, path.partition("?")[0]) for method, path in shown]
    missing = [
        f"{method} {route}"
        for method, route in sorted(routes())
        if route.startswith(("/api/", "/approvals/"))
        and not any(method == m and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path) for m, path in calls)
    ]
    assert missing == []


@pytest.mark.parametrize("document", [README, OPERATIONS], ids=lambda path: path.name)
def test_every_variable_that_is_named_is_a_setting(document: Path) -> None:
    """A renamed setting is renamed in the documents too."""
    settings = {environment_name(name, field) for name, field in Settings.model_fields.items()}
    assert set(VARIABLE.findall(read(document))) - settings - set(host_settings()) - OF_THE_STACK == set()


def loud_actions() -> set[str]:
    """The `action` of everything the app logs as a warning or an error."""
    found = set()
    for path in (ROOT / "shared").rglob("*.py"):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOUD:
                found |= {
                    k.value.value for k in node.keywords if k.arg == "action" and isinstance(k.value, ast.Constant)
                }
    return {str(action) for action in found}


def test_the_runbook_explains_every_warning_and_error() -> None:
    """Whoever is woken by an alert finds what it means and what to do."""
    explained = set(re.findall(r"^\| `(\w+)` \|", read(OPERATIONS), re.MULTILINE))
    assert len(loud_actions()) > 10
    assert loud_actions() - explained == set()
