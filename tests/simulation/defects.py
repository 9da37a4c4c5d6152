"""A deliberate defect: what it replaces in the running code, and that it is put back afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.simulation.universe import Nets

ALL, NO_REDELIVERY, NO_SWEEPER = (Nets.ALL,), (Nets.NO_REDELIVERY,), (Nets.NO_SWEEPER,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One defect, the weather in which it shows soonest, and the nets that do not hide it."""

    name: str
    patch: Callable[["Patches"], None]
    profiles: Sequence[str]
    nets: Sequence[Nets] = ALL

    @classmethod
    def of(cls, name: str, patch: Callable[["Patches"], None], *profiles: str, nets: Sequence[Nets] = ALL) -> "Mutant":
        """No profile: whatever each seed chooses."""
        return cls(name=name, patch=patch, profiles=profiles or ("",), nets=nets)


class Patches:
    """Attributes and table entries that are put back afterwards."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
        self._undo.append(lambda: setattr(owner, name, before))
        setattr(owner, name, value)

    def entry(self, table: Any, key: Any, value: Any) -> None:
        before = table[key]
        self._undo.append(lambda: table.__setitem__(key, before))
        table[key] = value

    def undo(self) -> None:
        for undo in reversed(self._undo):
            undo()


@contextmanager
def switched_on(mutant: Mutant) -> Iterator[None]:
    patches = Patches()
    try:
        mutant.patch(patches)
        yield
    finally:
        patches.undo()
