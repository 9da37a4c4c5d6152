"""A build has uploaded an artifact."""

import azure.functions as func
from azure.functions.blob import InputStream

from shared.application.intake import Intake, is_artifact
from shared.bootstrap import ports
from shared.telemetry import log

blueprint = func.Blueprint()


@blueprint.blob_trigger(
    arg_name="artifact",
    path="%ARTIFACT_CONTAINER%/{name}",
    connection="ArtifactsStorage",
    source=func.BlobSource.EVENT_GRID,
)
def artifact_uploaded(artifact: InputStream) -> None:
    """Start a release for a `changed_circuits.json`; any other blob is none of ours (R1)."""
    path = (artifact.name or "").partition("/")[2]
    if not is_artifact(path):
        log.debug("blob ignored", action="blob_ignored", path=path)
        return
    Intake(ports()).from_artifact(path, artifact.read(), metadata=artifact.metadata or {})
