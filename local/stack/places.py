"""Where a stack keeps its files, and which ports it uses: from STACK_DIR and STACK_PORT_BASE."""

import os
from dataclasses import dataclass
from pathlib import Path

from local.stack.ports import Ports, base_of

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DIR = ROOT / ".local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Directories, files and ports of one stack."""

    dir: Path
    ports: Ports

    @property
    def logs(self) -> Path:
        return self.dir / "logs"

    @property
    def lock(self) -> Path:
        return self.dir / "supervisor.lock"

    @property
    def status(self) -> Path:
        return self.dir / "status.json"

    @property
    def stack_json(self) -> Path:
        return self.dir / "stack.json"

    @property
    def secrets(self) -> Path:
        return self.dir / "secrets.json"

    @property
    def settings(self) -> Path:
        return self.dir / "local.settings.json"

    @property
    def overrides(self) -> Path:
        """Settings of the app that differ from the stack's own while a story needs them so."""
        return self.dir / "overrides.json"

    @property
    def demo_lock(self) -> Path:
        """Held by the demo that runs here."""
        return self.dir / "demo.lock"

    @property
    def queues(self) -> Path:
        """Queues with other times than the usual ones, for whoever cannot wait for a lock of minutes; none: the usual."""
        return self.dir / "queues.json"

    @property
    def approvals(self) -> Path:
        """Whether people decide by link or signed in, chosen when the stack was started."""
        return self.dir / "approvals.json"

    def data(self, part: str) -> Path:
        """The directory in which one part keeps its state."""
        return self.dir / "data" / part

    def log(self, part: str) -> Path:
        """The file that takes what one part prints."""
        return self.logs / f"{part}.log"


def places_from_environment() -> Places:
    """The stack that STACK_DIR and STACK_PORT_BASE mean, or the default one in the repository's root."""
    directory = Path(os.environ.get("STACK_DIR") or DEFAULT_DIR).resolve()
    try:
        return Places(dir=directory, ports=Ports(base=base_of(os.environ.get("STACK_PORT_BASE", ""))))
    except ValueError as error:
        raise SystemExit(str(error)) from None
