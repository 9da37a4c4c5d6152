"""Use cases: what a smoke test predicted is kept, and laid beside what the live model predicted in its own smoke test.

Both scored the circuit's test input in Test; comparing what was kept costs no job. A finding for gate 2, never a verdict.
"""

import hashlib
from collections.abc import Mapping

from shared.application.live import Live, model_version_of
from shared.application.ports import Ports
from shared.domain.comparison import compare
from shared.domain.model import CircuitRun
from shared.domain.naming import TEST_INPUT, predictions_path, test_data_path
from shared.domain.predictions import Table, read_predictions
from shared.domain.smoke_input import MOST_INPUT_BYTES

type Facts = Mapping[str, object]


def keep_predictions(run: CircuitRun, ports: Ports, predictions: bytes | None, size: int) -> Facts:
    """Write what was predicted (its first MiB) as an evidence blob; says where, and from which input it came."""
    found = ports.models.test_file(f"{test_data_path(run.circuit)}{TEST_INPUT}", limit=MOST_INPUT_BYTES)
    content = predictions or b""
    path = predictions_path(run.release_id, run.circuit, hashlib.sha256(content).hexdigest())
    ports.evidence.put(path, content)
    return {
        "predictions": path,
        "predictions_complete": len(content) >= size,
        "input_sha256": hashlib.sha256(found[0]).hexdigest() if found else "",
    }


def side_by_side(run: CircuitRun, ports: Ports, live: Live) -> Facts:
    """The candidate's predictions beside the live model's; `absent` says why there is nothing to compare."""
    if not live.name:
        return {"absent": "nothing is live in production"}
    release_id = live.deployment.tags.get("release_id", "") if live.deployment else ""
    told: dict[str, object] = {
        "deployment": live.name,
        "release_id": release_id,
        "model_version": model_version_of(live.deployment.model_id) if live.deployment else "",
    }
    stored = ports.releases.release_and_run(release_id, run.circuit) if release_id else None
    earlier = stored[1].row if stored else None
    if earlier is None or earlier.deployment != live.name:
        return told | {"absent": f"{live.name} was not tested by this pipeline: no predictions of it are kept"}
    before, now = _kept(earlier, ports), _kept(run, ports)
    if before is None or now is None:
        of = live.name if before is None else "this release"
        return told | {"absent": f"no predictions of {of} are kept"}
    return {**told, **_compared(run, earlier, now, before)}


def _compared(run: CircuitRun, earlier: CircuitRun, now: Table, before: Table) -> Facts:
    found = compare(now, before)
    same_model = bool(run.source_hash) and run.source_hash == earlier.source_hash
    return {
        **found.as_json(),
        "input_changed": _smoke(run).get("input_sha256") != _smoke(earlier).get("input_sha256"),
        "same_model": same_model,
        "unchanged": found.is_equal and not same_model,
    }


def _kept(run: CircuitRun, ports: Ports) -> Table | None:
    smoke = _smoke(run)
    path = smoke.get("predictions")
    content = ports.evidence.get(path) if isinstance(path, str) else None
    if content is None:
        return None
    return read_predictions(content, complete=smoke.get("predictions_complete") is True)


def _smoke(run: CircuitRun) -> Facts:
    smoke = run.evidence.get("smoke")
    return smoke if isinstance(smoke, Mapping) else {}
