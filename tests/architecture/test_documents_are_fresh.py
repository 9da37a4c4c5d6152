"""The generated documents say what the code says."""

import json
from pathlib import Path

import pytest

from shared.config import Settings
from shared.domain.process import CIRCUIT_EDGES, GATE_EDGES, RELEASE_EDGES, ROUND_EDGES
from tools.configuration import environment_name, host_settings
from tools.document import DOCS, DOCUMENTS, is_stale, main, rendered

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_generated_document_is_as_the_code_says(path: Path) -> None:
    """Whoever changes a table or a setting runs `make docs`."""
    assert not is_stale(path), f"docs/{path.name} is stale: run make docs"


def test_a_changed_document_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check fails on a file that differs and on one that is not there, and writing makes it pass."""
    changed, missing = tmp_path / "changed.md", tmp_path / "missing.md"
    changed.write_text("something else", encoding="utf-8")
    monkeypatch.setattr("tools.document.DOCS", tmp_path)
    monkeypatch.setattr("tools.document.DOCUMENTS", {changed: lambda: "# As it is\n", missing: lambda: "# Here\n"})
    assert main(["--check"]) == 1
    assert not missing.exists()
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert changed.read_text(encoding="utf-8").endswith("# As it is\n")


def test_the_state_diagram_tells_every_edge() -> None:
    """No edge of the tables is missing from the document's tables."""
    rows = rendered(DOCS / "state-diagram.md").splitlines()
    tables = (ROUND_EDGES, RELEASE_EDGES, CIRCUIT_EDGES, GATE_EDGES)
    edges = [(a, b) for table in tables for (a, _), b in table.items()]
    missing = [
        f"{a} -> {b}" for a, b in edges if not any(r.startswith(f"| `{a}` |") and f"| `{b}` |" in r for r in rows)
    ]
    assert edges
    assert missing == []


def test_the_configuration_names_every_setting_once() -> None:
    """Each variable of the app and of the sample file has exactly one row."""
    text = rendered(DOCS / "configuration.md")
    names = [environment_name(name, field) for name, field in Settings.model_fields.items()] + host_settings()
    assert {name: text.count(f"\n| `{name}` |") for name in names} == dict.fromkeys(names, 1)


def test_the_sample_settings_file_shows_every_setting_people_set() -> None:
    """What can be set can be found in local.settings.sample.json; identity-based connections are the alternative."""
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    names = {environment_name(name, field) for name, field in Settings.model_fields.items()}
    by_identity = {name for name in names if "__" in name}
    set_by_the_platform = {"WEBSITE_AUTH_ENABLED"}
    assert names - by_identity - set_by_the_platform - set(sample) == set()
