"""Shows a release while it runs: a table that updates in a terminal, one line per change anywhere else."""

import sys
import time
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local.demo.releases import Release
from local.stack.description import Stack


class View(Protocol):
    """Where the demo shows how far the release is."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, release: Release) -> None: ...
    def say(self, text: str) -> None: ...


def make_view(stack: Stack) -> View:
    """A live table if a person watches, else lines."""
    return LiveTable(stack) if sys.stdout.isatty() else Lines(stack)


class Lines:
    """One line for each change, with the seconds since the start."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._begun = time.monotonic()
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, release: Release) -> None:
        self._changed("release", release["phase"])
        for circuit in release["circuits"]:
            error = f" - {circuit['error']}" if circuit.get("error") else ""
            self._changed(_circuit(circuit), circuit["phase"] + error)
        for gate in release["gates"]:
            waits = f" - link in the inbox: {self._stack.mail_url}" if gate["state"] == "open" else ""
            self._changed(gate["gate"], gate["state"] + waits)

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:6.1f} s  {text}", flush=True)

    def _changed(self, what: str, state: str) -> None:
        if self._shown.get(what) != state:
            self._shown[what] = state
            self.say(f"{what:<20} {state}")


class LiveTable:
    """A table of circuits and phases, redrawn in place."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._begun = time.monotonic()
        self._release: Release | None = None
        self._live = Live(console=Console(), refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, release: Release) -> None:
        self._release = release

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def _render(self) -> RenderableType:
        seconds = int(time.monotonic() - self._begun)
        if self._release is None:
            return Text(f"Waiting for the app to take the artifact … {seconds} s")
        return Group(_table(self._release, seconds), *_notes(self._release), *_gate_lines(self._release, self._stack))


def _circuit(circuit: Release) -> str:
    return f"{circuit['plant_id']}/{circuit['circuit_id']}"


def _table(release: Release, seconds: int) -> Table:
    title = f"Release {release['release_id']}, build {release['build_id']}: {release['phase']} ({seconds} s)"
    table = Table(title=title, title_justify="left")
    for name in ("circuit", "phase", "version"):
        table.add_column(name, no_wrap=True)
    table.add_column("deployment", overflow="fold")
    for circuit in release["circuits"]:
        cells = (_circuit(circuit), circuit["phase"], circuit["model"]["version"], circuit["deployment"])
        table.add_row(*(Text(cell or "") for cell in cells))
    return table


def _notes(release: Release) -> list[Text]:
    """What is wrong or strange, one line per circuit; the end of the release tells all of it."""
    notes = ((_circuit(one), one["error"] or "; ".join(one["warnings"])) for one in release["circuits"])
    return [Text(f"{name}: {note}", no_wrap=True, overflow="ellipsis") for name, note in notes if note]


def _gate_lines(release: Release, stack: Stack) -> list[Text]:
    lines = []
    for gate in release["gates"]:
        line = f"{gate['gate']}: {gate['state']}"
        if gate["state"] == "open":
            line += f" - open the mail in the inbox and follow its link: {stack.mail_url}"
        lines.append(Text(line, style="bold" if gate["state"] == "open" else ""))
    return lines
