"""The app is made of what the document asks for: its packages, and its files at the top level."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "azure-functions",
    "azure-ai-ml",
    "azure-identity",
    "azure-storage-blob",
    "azure-servicebus",
    "azure-data-tables",
    "pydantic",
}
TOP_LEVEL = (
    "function_app.py",
    "host.json",
    "requirements.txt",
    "shared",
    "tests",
    "local.settings.sample.json",
    "README.md",
)


def pinned(name: str) -> set[str]:
    """The packages that a requirements file pins."""
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))


def test_the_documents_packages_are_pinned() -> None:
    """R56: what runs in Azure is in requirements.txt, pytest only where tests run."""
    assert PACKAGES - pinned("requirements.txt") == set()
    assert "pytest" in pinned("requirements-dev.txt")
    assert "pytest" not in pinned("requirements.txt")


def test_the_documents_files_stand_at_the_top() -> None:
    """R56."""
    assert [name for name in TOP_LEVEL if not (ROOT / name).exists()] == []
