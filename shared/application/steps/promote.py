"""Step: copy the approved Dev model into the Registry under the release's own version, with its seven tags."""

from collections.abc import Mapping
from datetime import datetime

from shared.application.diagnosis import diagnose_promotion, failed, next_line
from shared.application.ports import ModelVersion, Ports, PromotedModel
from shared.application.work import Work
from shared.domain.errors import ConfigurationError, Occupied, PermanentError, Unalterable
from shared.domain.events import ModelPromoted, StepFailed, StillRunning
from shared.domain.model import CircuitRun
from shared.domain.naming import registry_tags
from shared.domain.remedy import Remedy

PROMOTED_AT = "promoted_at"
"""The one tag that whoever was first decides: tries that overlap, or come again later, keep it."""


def promote(work: Work, ports: Ports) -> ModelPromoted | StepFailed | StillRunning:
    """R13-R17. Repeatable: a version that is already there keeps its content and its promoted_at."""
    changed = _change_since_approval(work.run, ports)
    if changed:
        return failed(ports, f"changed since approval: {changed}; start a new release", (next_line(Remedy.CHANGED),))
    started = ports.clock.now()
    tags = _tags(work, started)
    try:
        promoted = _promote(work, ports, tags)
    except Occupied:
        return StillRunning(restart_clock=True)
    except ConfigurationError:
        raise
    except PermanentError as error:
        remedy = Remedy.VERSION if isinstance(error, Unalterable) else Remedy.RETRY
        return failed(ports, f"promotion failed: {error}", diagnose_promotion(work.run, ports, remedy))
    if problem := _other_content(work.run, promoted):
        return failed(ports, f"promotion failed: {problem}", diagnose_promotion(work.run, ports, Remedy.VERSION))
    if problem := _other_tags(work.run, promoted, tags):
        return failed(ports, f"promotion failed: {problem}", diagnose_promotion(work.run, ports))
    ended = ports.clock.now()
    return ModelPromoted(
        at=ended,
        source_hash=promoted.content_hash,
        registry_tags=dict(promoted.version.tags),
        evidence={
            "promotion": {
                "mode": promoted.mode,
                "registry_version": promoted.version.version,
                "seconds": round((ended - started).total_seconds(), 1),
            }
        },
    )


def _change_since_approval(run: CircuitRun, ports: Ports) -> str:
    """What is no longer as the approver of gate 1 saw it; empty: nothing."""
    what = f"Dev model {run.model_name} version {run.source_version}"
    models = ports.models.dev_models(run.model_name)
    model = next((m for m in models if m.version == run.source_version), None)
    if model is None:
        return f"{what} is gone"
    if changes := _tag_changes(run, model):
        return f"{what} has other tags ({changes})"
    if ports.models.dev_content_hash(run.model_name, run.source_version) != run.source_hash:
        return f"{what} has other content"
    return ""


def _tag_changes(run: CircuitRun, model: ModelVersion) -> str:
    names = sorted({*run.source_tags, *model.tags})
    return ", ".join(
        f"{name} was {run.source_tags.get(name)!r}, is {model.tags.get(name)!r}"
        for name in names
        if run.source_tags.get(name) != model.tags.get(name)
    )


def _tags(work: Work, promoted_at: datetime) -> dict[str, str]:
    return registry_tags(
        work.run.circuit,
        cutoff_date=work.run.cutoff_date,
        promoted_at=promoted_at,
        release_id=work.release.release_id,
        build_id=work.release.build_id,
    )


def _promote(work: Work, ports: Ports, tags: dict[str, str]) -> PromotedModel:
    return ports.models.promote(
        name=work.run.model_name,
        source_version=work.run.source_version,
        version=work.run.model_version,
        tags=tags,
        mode=work.release.policy.promotion_mode,
    )


def _other_content(run: CircuitRun, promoted: PromotedModel) -> str:
    """The Registry was read back: does it hold what we wrote?"""
    if promoted.content_hash != run.source_hash:
        return f"the Registry's {run.model_name} version {run.model_version} has other content than was approved"
    return ""


def _other_tags(run: CircuitRun, promoted: PromotedModel, tags: dict[str, str]) -> str:
    """And does it say so?"""
    held = promoted.version.tags
    if not _same(held, tags):
        return f"the Registry's {run.model_name} version {run.model_version} has other tags: {dict(held)}"
    return ""


def _same(held: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """All seven, six of them with what we meant."""
    return held.keys() == tags.keys() and all(held[name] == tags[name] for name in tags if name != PROMOTED_AT)
