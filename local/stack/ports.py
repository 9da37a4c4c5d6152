"""Ports of the stack, all derived from one base.

Needs the standard library only: `local/preflight.sh` runs this file before anything is installed.
"""

import argparse
import fcntl
import random
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

DEFAULT_BASE = 17070
COUNT = 12
BASES = range(1024, 65_537 - COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of one stack."""

    base: int

    @property
    def app(self) -> int:
        return self.base

    @property
    def service_bus(self) -> int:
        return self.base + 1

    @property
    def service_bus_health(self) -> int:
        return self.base + 2

    @property
    def blob(self) -> int:
        return self.base + 3

    @property
    def queue(self) -> int:
        return self.base + 4

    @property
    def table(self) -> int:
        return self.base + 5

    @property
    def azure_ml_proxy(self) -> int:
        return self.base + 6

    @property
    def azure_ml_admin(self) -> int:
        return self.base + 7

    @property
    def smtp(self) -> int:
        return self.base + 8

    @property
    def mail(self) -> int:
        return self.base + 9

    @property
    def teams(self) -> int:
        return self.base + 10

    @property
    def blob_events(self) -> int:
        return self.base + 11

    def all(self) -> range:
        """Every port of the stack."""
        return range(self.base, self.base + COUNT)


def base_of(text: str) -> int:
    """STACK_PORT_BASE as a number; empty: the default.

    Raises:
        ValueError: it is no base for a stack's ports; the message is one line and names the possible ones.
    """
    if not text:
        return DEFAULT_BASE
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) in BASES):
        raise ValueError(
            f"STACK_PORT_BASE is {text!r}: give a number from {BASES[0]} to {BASES[-1]}, the first of {COUNT} ports in a "
            f"row (without it {DEFAULT_BASE})."
        )
    return int(text)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def taken(base: int) -> list[int]:
    """The stack's ports that something else holds."""
    return [port for port in Ports(base=base).all() if not is_free(port)]


def free_base() -> int:
    """A base with enough free ports, below the range that systems hand out by themselves."""
    for _ in range(200):
        base = random.randrange(20_000, 32_000, 20)  # noqa: S311 - a port is no secret
        if not taken(base):
            return base
    raise RuntimeError("no free ports in a row between 20000 and 32000")


def is_locked(lock: Path) -> bool:
    """Whether a supervisor holds the lock file, that is: whether this stack is up."""
    if not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def main(argv: list[str] | None = None) -> int:
    """`check` the ports in one line, or print a `free-base`."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check")
    check.add_argument("--base", default="")
    check.add_argument("--lock", type=Path, required=True)
    commands.add_parser("free-base")
    args = parser.parse_args(argv)
    if args.command == "free-base":
        print(free_base())
        return 0
    problem = _problem(args.base, args.lock)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def _problem(text: str, lock: Path) -> str | None:
    """A stack that is up has its ports already."""
    try:
        base = base_of(text)
    except ValueError as error:
        return str(error)
    return None if is_locked(lock) else taken_ports_message(base)


def taken_ports_message(base: int) -> str | None:
    """One line about ports that cannot be had, with the remedy."""
    if base not in BASES:
        return f"STACK_PORT_BASE={base} is no base for {COUNT} ports: give one from {BASES[0]} to {BASES[-1]}."
    busy = taken(base)
    if not busy:
        return None
    return (
        f"In use by another program on 127.0.0.1: port {', '.join(map(str, busy))}. Stop it, or choose other ports: "
        f"STACK_PORT_BASE={free_base()} (now {base}; the stack uses {base}-{base + COUNT - 1})."
    )


if __name__ == "__main__":
    sys.exit(main())
