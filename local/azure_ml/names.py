"""Which names the service accepts. Source: the documented limits of batch endpoints and the service's Swagger."""

import re

from local.azure_ml.errors import invalid

ENDPOINT_OR_DEPLOYMENT = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*")
SHORTEST, LONGEST = 3, 32
ASSET_OR_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]{0,254}")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_.]{0,254}")


def check_endpoint_name(name: str) -> None:
    """Refuse what the service refuses as the name of an endpoint."""
    _check_short_name("endpoint", name)


def check_deployment_name(name: str) -> None:
    """Refuse what the service refuses as the name of a deployment (the SDK does not look)."""
    _check_short_name("deployment", name)


def check_asset_name(kind: str, name: str) -> None:
    """Refuse what the service refuses as the name of a model or a job."""
    if not ASSET_OR_JOB.fullmatch(name):
        raise invalid(f"The {kind} name '{name}' is invalid: it must match ^{ASSET_OR_JOB.pattern}$.")


def check_version(version: str) -> None:
    """Refuse what cannot be the version of an asset."""
    if not VERSION.fullmatch(version):
        raise invalid(f"The version '{version}' is invalid: it must match ^{VERSION.pattern}$.")


def _check_short_name(kind: str, name: str) -> None:
    if SHORTEST <= len(name) <= LONGEST and ENDPOINT_OR_DEPLOYMENT.fullmatch(name):
        return
    raise invalid(
        f"The {kind} name '{name}' is invalid. It must be {SHORTEST} to {LONGEST} characters long, begin with a "
        "letter, end with a letter or a number, and hold only letters, numbers and single hyphens."
    )
