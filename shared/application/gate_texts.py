"""Use cases: what a gate asks of people, in the source document's words with the release's own names (R9, R33)."""

from collections.abc import Sequence

from shared.application.ports import Estate
from shared.domain.model import CircuitRun, GateName, Release
from shared.domain.requester import approvals_needed, is_requester_known

GATE_TITLES = {GateName.REGISTRY: "Registry-Approval", GateName.PRODUCTION: "Production-Approval"}
GROUP = "ML-Engineers"


def instructions(gate: GateName, release: Release, runs: Sequence[CircuitRun], estate: Estate) -> dict[str, object]:
    """Title, group, what to review, checklist, closing sentence and commands."""
    review = _registry_review(runs, estate) if gate is GateName.REGISTRY else _production_review(release, estate)
    return {"title": GATE_TITLES[gate], "group": GROUP} | review


def _registry_review(runs: Sequence[CircuitRun], estate: Estate) -> dict[str, object]:
    return {
        "review": "Review validated models before promoting to shared registry.",
        "checklist": [
            "Review model metrics in Dev Workspace (tag: validated=true)",
            "Check training logs for any warnings",
            "Verify cutoff_date is correct",
            "Review changed_circuits.json artifact",
        ],
        "closing": "Models will be copied from Dev Workspace to Azure ML Registry.",
        "commands": [_list_command(estate), *(_show_command(run, estate) for run in runs)],
    }


def _production_review(release: Release, estate: Estate) -> dict[str, object]:
    return {
        "review": "Test inference completed successfully.",
        "checklist": [f"Review the results in the Test workspace ({estate.test_workspace}) before approving"],
        "closing": (
            f"Deployments in {estate.prod_workspace} will be created next to the live ones and made the default "
            f"when all of release {release.release_id} stand."
        ),
        "commands": [],
    }


def _list_command(estate: Estate) -> str:
    return (
        f"az ml model list --workspace-name {estate.dev_workspace} --resource-group {estate.dev_resource_group} "
        "--tag validated=true --output table"
    )


def _show_command(run: CircuitRun, estate: Estate) -> str:
    version = f" --version {run.source_version}" if run.source_version else ""
    return (
        f"az ml model show --name {run.model_name}{version} --workspace-name {estate.dev_workspace} "
        f"--resource-group {estate.dev_resource_group}"
    )


def on_approve(gate: GateName, runs: Sequence[CircuitRun], estate: Estate) -> list[str]:
    """What an approval sets off, in order."""
    versions = ", ".join(sorted({run.model_version for run in runs}))
    if gate is GateName.REGISTRY:
        copied = f"copied from {estate.dev_workspace} to the Registry {estate.registry_name}"
        return [
            f"{_count(runs, 'model')} {copied} as version {versions}.",
            f"Then deployed to {estate.test_workspace} and smoke-tested, without further questions.",
            f"{estate.prod_workspace} is not touched: it has a gate of its own.",
        ]
    held = [run for run in runs if run.evidence.get("hold")]
    going = [run for run in runs if run not in held]
    deployments = ", ".join(sorted({run.deployment for run in going}))
    left_out = f"Left out unless the hold has ended by then: {', '.join(str(run.circuit) for run in held)}."
    if not going:
        return [f"Nothing is created in {estate.prod_workspace}: every circuit is held.", left_out]
    return [
        f"{_count(going, 'deployment')} created in {estate.prod_workspace}, next to the live ones: {deployments}.",
        *([left_out] if held else []),
        "When all of them stand, all are made the default; if one cannot be, those already switched are put back.",
        "The old deployments stay: a rollback makes them the default again.",
    ]


def who_must_approve(release: Release) -> str:
    """How many people, and who not, in a sentence; empty: any one of the approvers."""
    needed = approvals_needed(release)
    several = f"{needed} different people must approve" if needed > 1 else ""
    if release.policy.requester_may_approve:
        return f"{several}." if several else ""
    rule = "REQUESTER_MAY_APPROVE is off"
    if not is_requester_known(release):
        return f"{several}: it is not known who asked for this release, and they must not decide alone ({rule})."
    also = f" and {release.requester_claim}" if release.requester_claim else ""
    checked = "" if release.requester_signed_in else ", as far as the artifact's claim is true"
    barred = f"{release.requested_by}{also} asked for this release and may not decide{checked} ({rule})."
    return f"{several}. {barred}" if several else barred


def on_reject(gate: GateName) -> list[str]:
    """What a rejection leaves behind."""
    if gate is GateName.REGISTRY:
        return ["The release ends. Nothing is written to the Registry, to Test or to Production."]
    return ["The release ends. Production stays as it is; the models stay in the Registry, the deployments in Test."]


def _count(runs: Sequence[CircuitRun], what: str) -> str:
    return f"1 {what} is" if len(runs) == 1 else f"{len(runs)} {what}s are"
