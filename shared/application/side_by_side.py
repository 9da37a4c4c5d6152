"""Use cases: what a smoke test predicted is kept, and laid beside what the live model predicted from the same input.

Both scored the circuit's test input in Test. Of the live model its own smoke test is kept, so comparing costs no job as
long as the input is the same; else live_again has it scored anew. A finding for gate 2, never a verdict.
"""

import hashlib
from collections.abc import Mapping

from shared.application.live import Live, model_version_of
from shared.application.ports import Ports
from shared.domain.comparison import Comparison, compare
from shared.domain.model import CircuitRun
from shared.domain.naming import TEST_INPUT, predictions_path, test_data_path
from shared.domain.predictions import Table, read_predictions
from shared.domain.smoke_input import MOST_INPUT_BYTES, judge_input

type Facts = Mapping[str, object]

AGAIN = "live_again"
"""The evidence of the live model's job on this run's input."""
INPUT_ROWS = "input_rows"
"""In evidence: of the test input; 0: unknown."""
MISSED = "missed"
"""In evidence: the live model is ours, and could not be laid beside the candidate all the same."""


def keep_predictions(run: CircuitRun, ports: Ports, predictions: bytes | None, size: int) -> Facts:
    """Write what was predicted (its first MiB) as an evidence blob; says where, and from which input it came."""
    found = ports.models.test_file(f"{test_data_path(run.circuit)}{TEST_INPUT}", limit=MOST_INPUT_BYTES)
    content = predictions or b""
    digest = hashlib.sha256(content).hexdigest()
    path = predictions_path(run.release_id, run.circuit, digest)
    ports.evidence.put(path, content)
    return {
        "predictions": path,
        "predictions_sha256": digest,
        "predictions_complete": len(content) >= size,
        "input_sha256": hashlib.sha256(found[0]).hexdigest() if found else "",
        INPUT_ROWS: judge_input(*found, None).rows if found else 0,
    }


def side_by_side(run: CircuitRun, ports: Ports, live: Live) -> Facts:
    """The candidate's predictions beside the live model's; `absent` says why there is nothing to compare."""
    if not live.name:
        return {"absent": "nothing is live in production"}
    told: dict[str, object] = {
        "deployment": live.name,
        "release_id": _release_of(live),
        "model_version": model_version_of(live.deployment.model_id) if live.deployment else "",
    }
    earlier = run_of(live, run, ports)
    if earlier is None:
        return told | {"absent": f"{live.name} was not tested by this pipeline: no predictions of it are kept"}
    again = _again(run, live)
    kept = again if "predictions" in again else _smoke(earlier)
    before, now = _table(kept, ports), _table(_smoke(run), ports)
    why = f", and it was not scored again: {again['absent']}" if "absent" in again else ""
    if before is None or now is None:
        of = live.name if before is None else "this release"
        return told | {"absent": f"no predictions of {of} are kept{why}", MISSED: True}
    if not _same_input(run, kept):
        return told | {"absent": f"the test input has changed since {live.name} was tested{why}", MISSED: True}
    return {**told, **_compared(run, earlier, compare(now, before))}


def run_of(live: Live, run: CircuitRun, ports: Ports) -> CircuitRun | None:
    """The circuit's run in the release that made the live deployment; None: it is none of ours."""
    release_id = _release_of(live)
    stored = ports.releases.release_and_run(release_id, run.circuit) if release_id else None
    return stored[1].row if stored and stored[1].row.deployment == live.name else None


def is_of_this_input(run: CircuitRun, earlier: CircuitRun, ports: Ports) -> bool:
    """Are predictions of the earlier run kept, and were they made from the input that this run was tested with?"""
    return _same_input(run, _smoke(earlier)) and _table(_smoke(earlier), ports) is not None


def _release_of(live: Live) -> str:
    return live.deployment.tags.get("release_id", "") if live.deployment else ""


def _same_input(run: CircuitRun, kept: Facts) -> bool:
    return _smoke(run).get("input_sha256") == kept.get("input_sha256")


def _compared(run: CircuitRun, earlier: CircuitRun, found: Comparison) -> Facts:
    same_model = bool(run.source_hash) and run.source_hash == earlier.source_hash
    return {**found.as_json(), "same_model": same_model, "unchanged": found.is_equal and not same_model}


def _table(kept: Facts, ports: Ports) -> Table | None:
    path = kept.get("predictions")
    content = ports.evidence.get(path) if isinstance(path, str) else None
    if content is None:
        return None
    return read_predictions(content, complete=kept.get("predictions_complete") is True)


def _smoke(run: CircuitRun) -> Facts:
    return _mapping(run.evidence.get("smoke"))


def _again(run: CircuitRun, live: Live) -> Facts:
    """What the live model made of this run's input, if it was asked to score it."""
    again = _mapping(run.evidence.get(AGAIN))
    return again if again.get("deployment") == live.name else {}


def _mapping(value: object) -> Facts:
    return value if isinstance(value, Mapping) else {}
