"""Which Dev model a circuit's release takes (R11, R12): a rule over versions and their tags, nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.remedy import Remedy

VALIDATED = "true"
UNKNOWN_BUILD = "unknown"
MOST_LISTED = 10
TAGS_LISTED = ("validated", "cutoff_date", "build_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model version of the Dev workspace, as far as the choice is concerned."""

    version: str
    tags: Mapping[str, str]

    @property
    def is_eligible(self) -> bool:
        """R11: the tag `validated` is exactly `true`; `True` and `yes` are not."""
        return self.tags.get("validated") == VALIDATED

    def __str__(self) -> str:
        tags = ", ".join(f"{name}={self.tags[name]}" for name in TAGS_LISTED if name in self.tags)
        return f"version {self.version} ({tags or 'no tags'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the artifact says about the model it wants released."""

    version: str
    """Empty: it names none."""
    cutoff_date: str
    build_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Exactly one of `version` and `problem` is set."""

    version: str = ""
    warning: str = ""
    problem: str = ""
    remedy: Remedy = Remedy.RETRY
    """Of the problem: the tags of Dev's models can be put right, an artifact can't."""


def choose(candidates: Sequence[Candidate], wish: Wish) -> Choice:
    """The asked-for version; else the one of this cutoff_date and build; else the only one of this cutoff_date."""
    if wish.version:
        return _asked_for(candidates, wish)
    of_cutoff = [c for c in candidates if c.is_eligible and c.tags.get("cutoff_date") == wish.cutoff_date]
    of_build = [c for c in of_cutoff if _build(c) == wish.build_id != UNKNOWN_BUILD]
    if len(of_build) == 1:
        return Choice(version=of_build[0].version)
    if len(of_build) > 1:
        return _several(of_build, f"cutoff_date {wish.cutoff_date} and build_id {wish.build_id}")
    if len(of_cutoff) > 1:
        return _several(of_cutoff, f"cutoff_date {wish.cutoff_date}, none from build {wish.build_id}")
    if not of_cutoff:
        return Choice(problem=_none(candidates, wish))
    return Choice(version=of_cutoff[0].version, warning=_other_build(of_cutoff[0], wish))


def _asked_for(candidates: Sequence[Candidate], wish: Wish) -> Choice:
    found = next((c for c in candidates if c.version == wish.version), None)
    if found is None:
        missing = f"Dev has no version {wish.version}, which the artifact asks for; {listed(candidates)}"
        return Choice(problem=missing, remedy=Remedy.ARTIFACT)
    if not found.is_eligible:
        tag = found.tags.get("validated")
        return Choice(problem=f"the asked-for {found} is not eligible: its tag validated is {tag!r}, not 'true'")
    if found.tags.get("cutoff_date") != wish.cutoff_date:
        other = f"the asked-for {found} does not have the artifact's cutoff_date {wish.cutoff_date}"
        return Choice(problem=other, remedy=Remedy.ARTIFACT)
    return Choice(version=found.version)


def _build(candidate: Candidate) -> str:
    return candidate.tags.get("build_id", "")


def _several(found: Sequence[Candidate], what: str) -> Choice:
    told = f"{len(found)} validated models have {what}: name one as model_version in the artifact; {listed(found)}"
    return Choice(problem=told, remedy=Remedy.ARTIFACT)


def _none(candidates: Sequence[Candidate], wish: Wish) -> str:
    if not candidates:
        return "Dev has no version of this model: check that training has registered it"
    return f"no model with validated=true has cutoff_date {wish.cutoff_date}; {listed(candidates)}"


def _other_build(chosen: Candidate, wish: Wish) -> str:
    return f"model version {chosen.version} is from build {_build(chosen) or '(none)'}, not from build {wish.build_id}"


def listed(candidates: Sequence[Candidate], most: int = MOST_LISTED) -> str:
    """For a failure's message: the candidates with the tags that decide."""
    if not candidates:
        return "candidates: none"
    more = f" and {len(candidates) - most} older ones" if len(candidates) > most else ""
    return f"candidates: {'; '.join(map(str, candidates[:most]))}{more}"
