"""Use cases: a gate's evidence as one canonical JSON document. Pure: the same rows give the same bytes."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from shared.application import gate_texts
from shared.application.locks import MARKS
from shared.application.metrics import compare_metrics
from shared.application.ports import Estate
from shared.application.side_by_side import MISSED
from shared.domain.model import NEUTRAL, UNSUCCESSFUL, CircuitRun, GateName, Release
from shared.domain.naming import data_asset_name, timestamp
from shared.domain.requester import requester_told

VERSION = 1
INSPECTED = ("model", "training_warnings", "live", "adopted", "quota", "test_input", *MARKS)
TESTED = ("promotion", "test_deployment", "smoke", "schema", "expected", "side_by_side")
FACTS: Mapping[GateName, Sequence[str]] = {
    GateName.REGISTRY: INSPECTED,
    GateName.PRODUCTION: (*INSPECTED, *TESTED),
}
MOST_CHANGES = 50

type Document = Mapping[str, object]


def gate_evidence(gate: GateName, release: Release, runs: Sequence[CircuitRun], estate: Estate) -> bytes:
    """What an approver decides on, as the bytes that are kept; their SHA-256 is the gate's digest."""
    return canonical_json(gate_document(gate, release, runs, estate))


def canonical_json(document: object) -> bytes:
    """Sorted keys, no spaces, UTF-8: equal documents are equal bytes."""
    text = json.dumps(_plain(document), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


def gate_document(gate: GateName, release: Release, runs: Sequence[CircuitRun], estate: Estate) -> dict[str, object]:
    """Everything an approver is shown. No clock: nothing in it changes unless the release does."""
    ordered = sorted(runs, key=lambda run: run.circuit)
    going = [run for run in ordered if run.phase not in NEUTRAL]
    return {
        "v": VERSION,
        "gate": gate,
        "release_id": release.release_id,
        "build_id": release.build_id,
        "commit_sha": release.commit_sha,
        "requested_by": release.requested_by,
        "requester": requester_told(release),
        "who_must_approve": gate_texts.who_must_approve(release),
        "artifact_path": release.artifact_path,
        "manifest_sha256": release.manifest_sha256,
        "warnings": list(release.warnings),
        "instructions": gate_texts.instructions(gate, release, going, estate),
        "on_approve": gate_texts.on_approve(gate, going, estate),
        "on_reject": gate_texts.on_reject(gate),
        "circuits": [_circuit(gate, run, release) for run in ordered],
    }


def _circuit(gate: GateName, run: CircuitRun, release: Release) -> dict[str, object]:
    known = {key: run.evidence[key] for key in FACTS[gate] if key in run.evidence}
    return known | {
        "plant_id": run.circuit.plant_id,
        "circuit_id": run.circuit.circuit_id,
        "phase": run.phase,
        "left_out": _left_out(run, release),
        "change_type": run.change_type,
        "cutoff_date": run.cutoff_date,
        "data_asset": f"{data_asset_name(run.circuit)}:{run.cutoff_date}",
        "model_name": run.model_name,
        "source_version": run.source_version,
        "source_hash": run.source_hash,
        "source_tags": run.source_tags,
        "registry_version": run.model_version,
        "registry_tags": run.registry_tags if gate is GateName.PRODUCTION else {},
        "test_endpoint": run.test_endpoint,
        "endpoint": run.endpoint,
        "deployment": run.deployment,
        "live_deployment": run.live_deployment,
        "job_name": run.job_name if gate is GateName.PRODUCTION else "",
        "attention": attention(run),
    }


def _left_out(run: CircuitRun, release: Release) -> str:
    """Why this circuit will not be deployed; empty: it will."""
    if run.phase not in NEUTRAL:
        return ""
    return release.exclusions.get(str(run.circuit)) or run.error or str(run.phase).replace("_", " ")


def attention(run: CircuitRun) -> list[str]:
    """What a person should look at before approving this circuit, most serious first."""
    model, live = _mapping(run.evidence.get("model")), _mapping(run.evidence.get("live"))
    return [
        *([f"{run.phase}: {run.error}"] if run.phase in UNSUCCESSFUL else []),
        *_marks(run),
        *_validation(model),
        *run.warnings,
        *_older(run, live),
        *_worse(model, live),
        *schema_findings(run),
        *_beside(_mapping(run.evidence.get("side_by_side"))),
        *_training(run.evidence.get("training_warnings")),
        *_adoption(run),
    ]


def _marks(run: CircuitRun) -> Iterator[str]:
    if hold := run.evidence.get("hold"):
        yield f"{hold}: it will not be activated unless the hold is lifted, or has ended, before"
    if drift := run.evidence.get("drift"):
        yield f"{drift}; accept or repair it before, or production will refuse this circuit"
    if newer := run.evidence.get("newer"):
        yield f"{newer}: this release will leave the circuit out as superseded"
    wanted = run.evidence.get("wanted")
    if wanted and wanted != run.live_deployment and not drift:
        yield f"{wanted} should be live, {run.live_deployment or 'nothing'} was when this was looked at"


def _validation(model: Document) -> Iterator[str]:
    tag = model.get("validated")
    if tag is not None and tag != "true":
        yield f"the tag validated is {tag!r}, not 'true'"


def _older(run: CircuitRun, live: Document) -> Iterator[str]:
    cutoff = live.get("cutoff_date")
    if isinstance(cutoff, str) and cutoff > run.cutoff_date:
        yield f"cutoff_date {run.cutoff_date} is older than the live model's, {cutoff}"


def _worse(model: Document, live: Document) -> Iterator[str]:
    for change in compare_metrics(model.get("metrics"), live.get("metrics")):
        if change.verdict == "worse":
            yield f"{change.name} is worse than the live model's: {change.new:.6g}, live {change.live:.6g}"


def schema_findings(run: CircuitRun) -> Iterator[str]:
    """R29: how the predictions differ from what is expected, and who says what is."""
    schema = _mapping(run.evidence.get("schema"))
    by = f" (by {source})" if (source := schema.get("source")) else ""
    for finding in ("missing", "extra", "changed"):
        columns = schema.get(finding)
        if isinstance(columns, list | tuple) and columns:
            yield f"schema: columns {finding}: {', '.join(map(str, columns))}{by}"


def _beside(beside: Document) -> Iterator[str]:
    if beside.get(MISSED):
        yield f"side by side: nothing was compared: {beside.get('absent')}"
    if beside.get("unchanged"):
        yield f"side by side: predictions are those of {beside.get('deployment')}, unchanged although the model changed"


def _training(lines: object) -> Iterator[str]:
    if isinstance(lines, list | tuple):
        yield from (f"training log: {line}" for line in lines)


def _adoption(run: CircuitRun) -> Iterator[str]:
    if run.evidence.get("adopted"):
        yield (
            f"endpoint {run.endpoint} exists without our tags and is taken over; its default "
            f"{run.live_deployment or '(none)'} becomes the previous deployment"
        )


def changes_between(old: bytes, new: bytes) -> tuple[str, ...]:
    """What an approver has to know about newer evidence, in sentences; at most 50."""
    before, after = (dict(_facts(json.loads(content))) for content in (old, new))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    told = [line for name in names for line in _change(name, before.get(name, "absent"), after.get(name, "absent"))]
    hidden = len(told) - MOST_CHANGES
    return tuple(told[:MOST_CHANGES]) + ((f"and {hidden} more changes",) if hidden > 0 else ())


def _change(name: str, before: object, after: object) -> Iterator[str]:
    """Of sentences those that came and those that went."""
    if not (isinstance(before, list) and isinstance(after, list)):
        yield f"{name}: was {_leaf(before)}, is {_leaf(after)}"
        return
    what = f"{name.removesuffix(' attention')} to look at" if name.endswith(" attention") else name
    yield from (f"{what}, new: {line}" for line in after if line not in before)
    yield from (f"{what}, gone: {line}" for line in before if line not in after)


def _leaf(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _facts(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf of a document with its path; circuits go by their names, not their places."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _facts(inner, f"{name} {key}".strip())
    elif name == "circuits" and isinstance(value, list):
        for circuit in value:
            yield from _facts(circuit, f"{circuit.get('plant_id')}/{circuit.get('circuit_id')}")
    else:
        is_sentences = isinstance(value, list) and all(isinstance(line, str) for line in value)
        yield name, value if is_sentences else _leaf(value)


def _plain(value: object) -> object:
    """JSON's own types only; NaN and infinity, which JSON has no word for, become text."""
    match value:
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case str():
            return str(value)
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            return timestamp(value)
        case Sequence():
            return [_plain(inner) for inner in value]
        case _:
            return str(value)


def _mapping(value: object) -> Document:
    return value if isinstance(value, Mapping) else {}
