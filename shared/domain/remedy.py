"""What mends a failure: decided where it is found, and told in the same words on the circuit and in the last line.

A release keeps the artifact, the settings and the models that it began with, so a retry can mend what lies outside it and
nothing else.
"""

from collections.abc import Collection, Iterable
from enum import Enum


class Remedy(Enum):
    """What to do, and why no retry would do; without a why, one does."""

    RETRY = ("remove the cause, then retry the release", "")
    CHANGED = ("start a new release", "what was approved has changed, and a retry would take it again")
    VERSION = ("start a new release", "a version keeps its content, and a retry would ask for the same version")
    MODEL = (
        "correct the model or its test data, then start a new release",
        "a retry would take the model that was chosen",
    )
    SETTINGS = ("put that right, then start a new release", "a retry would keep the settings that this one began with")
    ARTIFACT = ("correct the artifact, then start a new release", "a retry would take the artifact as it is")
    SEVERAL = ("put all of that right, then start a new release", "a retry would keep the release as it began")

    @property
    def is_retry(self) -> bool:
        return self is Remedy.RETRY

    def told(self, circuits: str = "it") -> str:
        """As an instruction."""
        do, why = self.value
        return f"{do} for {circuits}: {why}" if why else do


def remedy_of_all(found: Collection[Remedy]) -> Remedy:
    """The one way on from several findings: what asks for a new release outweighs what a retry would mend."""
    anew = {remedy for remedy in found if not remedy.is_retry}
    if len(anew) > 1:
        return Remedy.SEVERAL
    return anew.pop() if anew else Remedy.RETRY


def remedy_told_in(lines: Iterable[str]) -> Remedy:
    """The one that a diagnosis ends with; a retry, if it says nothing else."""
    text = "\n".join(lines)
    return next((one for one in Remedy if not one.is_retry and one.told() in text), Remedy.RETRY)
