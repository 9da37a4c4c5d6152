"""Names and tags in Azure ML, and the rules they obey (R14, R15, R19, R20, R37, D1, D12)."""

import hashlib
import re
from datetime import UTC, datetime

from shared.domain.errors import InvalidManifest
from shared.domain.model import Circuit

ENDPOINT_NAME = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9]){2,31}")
"""Documented: 3-32 characters, starts with a letter, letters, digits, single hyphens; deployments too."""
MAX_ENDPOINT_NAME = 32
RELEASE_ID = re.compile(r"(\d{8})\.(\d{1,6})")
CIRCUIT_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def model_name(circuit: Circuit) -> str:
    """R14: `{plant}-{circuit}` in lower case."""
    return f"{circuit.plant_id}-{circuit.circuit_id}".lower()


def endpoint_name(template: str, circuit: Circuit) -> str:
    """R19: from the environment's template; `_` becomes `-`, lower case. May be illegal: see `name_problem`."""
    name = template.format(plant=circuit.plant_id, circuit=circuit.circuit_id)
    return name.lower().replace("_", "-")


def deployment_name(release_id: str) -> str:
    """R20 and D1: `deployment-20251210-1`; the dotted id stays in the release_id tag."""
    return f"deployment-{registry_version(release_id)}"


def registry_version(release_id: str) -> str:
    """D12: the model version a release makes in the Registry."""
    return release_id.replace(".", "-")


def data_asset_name(circuit: Circuit) -> str:
    """R6: the MLTable a circuit's model was trained on."""
    return f"{circuit.plant_id}_{circuit.circuit_id}"


def name_problem(name: str) -> str | None:
    """Why Azure ML would refuse an endpoint's or deployment's name, or None."""
    if len(name) > MAX_ENDPOINT_NAME:
        return f"{name!r} has {len(name)} characters, Azure ML allows {MAX_ENDPOINT_NAME}"
    if not ENDPOINT_NAME.fullmatch(name) or len(name) < 3:
        return f"{name!r} must start with a letter and hold letters, digits and single hyphens (3-32 characters)"
    return None


def release_seq(release_id: str) -> int:
    """Releases in order: date, then number as integers, so that `.10` comes after `.9`.

    Raises:
        InvalidManifest: the id is not `YYYYMMDD.N`.
    """
    match = RELEASE_ID.fullmatch(release_id)
    if match is None or match[2].startswith("0") or not _is_date(match[1]):
        raise InvalidManifest(
            f"release_id {release_id!r} must be YYYYMMDD.N, a real date and a number from 1, for example 20251210.1"
        )
    return int(match[1]) * 1_000_000 + int(match[2])


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def timestamp(at: datetime) -> str:
    """UTC, seconds, Z: the form of every time in tags."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def registry_tags(
    circuit: Circuit, *, cutoff_date: str, promoted_at: datetime, release_id: str, build_id: str
) -> dict[str, str]:
    """R15: exactly seven."""
    return {
        "cutoff_date": cutoff_date,
        "plant_id": circuit.plant_id,
        "circuit_id": circuit.circuit_id,
        "promoted_from": "dev",
        "promoted_at": timestamp(promoted_at),
        "release_id": release_id,
        "build_id": build_id,
    }


def deployment_tags(
    *, cutoff_date: str, release_id: str, deployed_at: datetime, previous_deployment: str
) -> dict[str, str]:
    """R37: exactly four; an empty previous_deployment says there was none (D6)."""
    return {
        "cutoff_date": cutoff_date,
        "release_id": release_id,
        "deployed_at": timestamp(deployed_at),
        "previous_deployment": previous_deployment,
    }


def endpoint_tags(circuit: Circuit) -> dict[str, str]:
    """How we know an endpoint as ours (R59)."""
    return {"plant_id": circuit.plant_id, "circuit_id": circuit.circuit_id}


SMOKE_PREFIX, BESIDE_PREFIX = "smoke-", "beside-"


def smoke_job_name(release_id: str, gen: int, circuit: Circuit) -> str:
    """D14: the same job for the same try, however often it is asked for."""
    text = f"{release_id}|{gen}|{circuit.plant_id}|{circuit.circuit_id}"
    return f"{SMOKE_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def beside_job_name(release_id: str, gen: int, circuit: Circuit) -> str:
    """The job in which the live model scores the test input of this try, to be compared with."""
    return smoke_job_name(release_id, gen, circuit).replace(SMOKE_PREFIX, BESIDE_PREFIX, 1)


def is_job_of_ours(job_name: str) -> bool:
    """Was it asked for by this name, or has the service named it?"""
    return job_name.startswith((SMOKE_PREFIX, BESIDE_PREFIX))


ROLLBACK_PREFIX = "rollback-"
DRIFT_PREFIX = "drift-"
CHECK_PREFIX = "check-"


def is_rollback(process_id: str) -> bool:
    """Does an owner's or a ledger's id name a rollback?"""
    return process_id.startswith(ROLLBACK_PREFIX)


def check_id(rollback_id: str) -> str:
    """The one check of a rollback."""
    return f"{CHECK_PREFIX}{rollback_id.removeprefix(ROLLBACK_PREFIX)}"


def rollback_of(process_id: str) -> str:
    """The rollback that a check is about; any other id as it is."""
    about = process_id.removeprefix(CHECK_PREFIX)
    return process_id if about == process_id else f"{ROLLBACK_PREFIX}{about}"


def test_data_path(circuit: Circuit) -> str:
    """R23: ids as written."""
    return f"test-data/{circuit.plant_id}/{circuit.circuit_id}/"


TEST_INPUT = "test_input.csv"


def expected_data_path(circuit: Circuit) -> str:
    """R32: where the known expected output lies, apart from the input, which must be alone in its folder."""
    return f"test-data-expected/{circuit.plant_id}/{circuit.circuit_id}/"


def predictions_path(release_id: str, circuit: Circuit, digest: str) -> str:
    """The evidence blob that keeps a smoke test's predictions; a retry's may differ, and nothing is overwritten."""
    return f"{release_id}/predictions/{circuit.plant_id}/{circuit.circuit_id}-{digest[:12]}.csv"
