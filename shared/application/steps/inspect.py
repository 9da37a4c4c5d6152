"""Step: everything that can be known before anybody is asked; all findings about a circuit at once (R31, R59, D1-D4)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial

from shared.application.diagnosis import failed, next_line
from shared.application.findings import as_evidence, numbered
from shared.application.live import Live, live_evidence, metrics_of, read_live
from shared.application.locks import marks
from shared.application.ports import Deployment, Endpoint, ModelVersion, Ports, ProvisioningState
from shared.application.quotas import region_rooms, region_uses
from shared.application.work import Work
from shared.domain.choice import Candidate, Wish, choose
from shared.domain.errors import ConfigurationError, PermanentError
from shared.domain.events import ModelChosen, StepFailed
from shared.domain.model import CircuitRun, Environment
from shared.domain.naming import TEST_INPUT, data_asset_name, endpoint_tags, name_problem, test_data_path, timestamp
from shared.domain.remedy import Remedy, remedy_of_all
from shared.domain.signature import input_columns
from shared.domain.smoke_input import MOST_INPUT_BYTES, judge_input
from shared.domain.words import clean

ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
OTHER_TAGS = "if that is wrong, correct its tags plant_id and circuit_id; if not, delete it or have other names made"
TEMPLATE_SETTINGS = {Environment.TEST: "TEST_ENDPOINT_TEMPLATE", Environment.PRODUCTION: "PROD_ENDPOINT_TEMPLATE"}


def inspect(work: Work, ports: Ports) -> ModelChosen | StepFailed:
    """Choose the Dev model (R11, R12) and look for anything in the way."""
    seen = _Inspection(work=work, ports=ports)
    for check in (
        partial(_cutoff_date, seen),
        partial(_model, seen),
        partial(_test_data, seen),
        partial(_test_input, seen),
        partial(_place, seen, Environment.TEST),
        partial(_place, seen, Environment.PRODUCTION),
        partial(_region_collision, seen),
        partial(_region_room, seen),
        partial(_live, seen),
    ):
        seen.look(check)
    if seen.findings or seen.chosen is None:
        return _refused(seen)
    return ModelChosen(
        at=ports.clock.now(),
        source_version=seen.chosen.version,
        source_hash=seen.content_hash,
        source_tags=dict(seen.chosen.tags),
        live_deployment=seen.live.name,
        warnings=tuple(seen.warnings),
        evidence=seen.evidence,
    )


@dataclass(slots=True, kw_only=True)
class _Inspection:
    """What one circuit's inspection has seen so far."""

    work: Work
    ports: Ports
    findings: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    """Those of them that other circuits of the release run into as well."""
    remedies: set[Remedy] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    evidence: dict[str, object] = field(default_factory=dict)
    dev_models: Sequence[ModelVersion] = ()
    chosen: ModelVersion | None = None
    content_hash: str = ""
    endpoints: dict[Environment, Endpoint] = field(default_factory=dict)
    live: Live = field(default_factory=Live)

    @property
    def run(self) -> CircuitRun:
        return self.work.run

    def find(self, finding: str, remedy: Remedy) -> None:
        """Something that a retry may not mend."""
        self.findings.append(finding)
        self.remedies.add(remedy)

    def look(self, check: Callable[[], None]) -> None:
        """What the service refuses is a finding like any other; the next check still runs."""
        try:
            check()
        except ConfigurationError:
            raise
        except PermanentError as error:
            self.findings.append(str(error))


def _refused(seen: _Inspection) -> StepFailed:
    remedy = remedy_of_all(seen.remedies)
    lines = () if remedy.is_retry else (next_line(remedy),)
    own = [finding for finding in seen.findings if finding not in seen.shared]
    told = failed(seen.ports, numbered(seen.findings), lines)
    return replace(told, evidence={**told.evidence, **as_evidence(own, seen.shared)})


# ------------------------------------------------------------------------------------------- the Dev model


def _cutoff_date(seen: _Inspection) -> None:
    cutoff = seen.run.cutoff_date
    if not _is_iso_date(cutoff):
        seen.find(f"cutoff_date {cutoff!r} must be a real date, YYYY-MM-DD", Remedy.ARTIFACT)
    elif date.fromisoformat(cutoff) > seen.ports.clock.now().date():
        seen.find(f"cutoff_date {cutoff} lies in the future", Remedy.ARTIFACT)


def _is_iso_date(text: str) -> bool:
    if not ISO_DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _model(seen: _Inspection) -> None:
    run, models = seen.run, seen.ports.models
    seen.dev_models = models.dev_models(run.model_name)
    choice = choose(
        [Candidate(version=model.version, tags=model.tags) for model in seen.dev_models],
        Wish(version=run.requested_version, cutoff_date=run.cutoff_date, build_id=seen.work.release.build_id),
    )
    if choice.problem:
        seen.find(f"model {run.model_name}: {choice.problem}", choice.remedy)
        return
    chosen = next(model for model in seen.dev_models if model.version == choice.version)
    if choice.warning:
        seen.warnings.append(choice.warning)
    seen.chosen = chosen
    _data_asset(seen, chosen)
    seen.content_hash = models.dev_content_hash(run.model_name, chosen.version)
    seen.evidence["model"] = _model_evidence(chosen)
    warnings = models.training_warnings(chosen)
    seen.evidence["training_warnings"] = None if warnings is None else list(map(clean, warnings))


def _data_asset(seen: _Inspection, model: ModelVersion) -> None:
    """R6: what the model says it was trained on is what the artifact says."""
    run = seen.run
    expected = {
        "data_asset_name": data_asset_name(run.circuit),
        "data_asset_version": run.cutoff_date,
        "plant_id": run.circuit.plant_id,
        "circuit_id": run.circuit.circuit_id,
    }
    for tag, value in expected.items():
        found = model.tags.get(tag)
        if found != value:
            seen.findings.append(
                f"model {run.model_name} version {model.version}: tag {tag} is {found!r}, not {value!r}"
            )


def _model_evidence(model: ModelVersion) -> dict[str, object]:
    tags = model.tags
    return {
        "version": model.version,
        "studio_url": model.studio_url,
        "created_at": timestamp(model.created_at) if model.created_at else None,
        "metrics": metrics_of(model),
        "data_asset": f"{tags.get('data_asset_name', '')}:{tags.get('data_asset_version', '')}",
        "validated": tags.get("validated"),
    }


# -------------------------------------------------------------------------------------- where it shall go


def _test_data(seen: _Inspection) -> None:
    """R31: a batch job scores every file in the folder."""
    files, path = list(seen.ports.models.smoke_input(seen.run.circuit)), test_data_path(seen.run.circuit)
    if TEST_INPUT not in files:
        seen.findings.append(f"test data: {path}{TEST_INPUT} does not exist in the Test workspace's blob store")
    others = [name for name in files if name != TEST_INPUT]
    if others:
        seen.findings.append(f"test data: {path} must hold {TEST_INPUT} alone, not also {', '.join(others)}")


def _test_input(seen: _Inspection) -> None:
    """R32: small, and with the columns that the chosen model was trained on."""
    path = f"{test_data_path(seen.run.circuit)}{TEST_INPUT}"
    found = seen.ports.models.test_file(path, limit=MOST_INPUT_BYTES)
    if found is None:
        return
    mlmodel = seen.ports.models.dev_signature(seen.run.model_name, seen.chosen.version) if seen.chosen else None
    verdict = judge_input(*found, input_columns(mlmodel) if mlmodel else None)
    seen.findings += [f"test data: {path} {problem}" for problem in verdict.problems]
    seen.evidence["test_input"] = verdict.as_json()


def _place(seen: _Inspection, environment: Environment) -> None:
    """D1, D4, R59: names, compute, endpoint and room on it."""
    run, models = seen.run, seen.ports.models
    name = _endpoint_name(run, environment)
    illegal = [f"{environment}: {problem}" for n in (name, run.deployment) if (problem := name_problem(n))]
    for problem in illegal:
        seen.find(f"{problem}; change {TEMPLATE_SETTINGS[environment]} or the ids", Remedy.SETTINGS)
    if not models.compute_exists(environment):
        seen.findings.append(f"{environment}: {models.compute_state(environment)}: create it, or set COMPUTE_NAME")
    endpoint = None if illegal else models.endpoint(environment, name)
    have = len(models.deployment_names(environment, name)) if endpoint else 0
    limit = seen.work.release.policy.deployments_per_endpoint
    seen.evidence["quota"] = {**_quota(seen), environment.value: {"need": 1, "have": have, "limit": limit}}
    if environment is Environment.PRODUCTION:
        seen.evidence["adopted"] = False
    if endpoint is None:
        return
    seen.endpoints[environment] = endpoint
    _owner(seen, environment, endpoint)
    _room(seen, environment, endpoint, have)


def _quota(seen: _Inspection) -> dict[str, object]:
    quota = seen.evidence.get("quota")
    return quota if isinstance(quota, dict) else {}


def _endpoint_name(run: CircuitRun, environment: Environment) -> str:
    return run.test_endpoint if environment is Environment.TEST else run.endpoint


def _owner(seen: _Inspection, environment: Environment, endpoint: Endpoint) -> None:
    ours = endpoint_tags(seen.run.circuit)
    told = {tag: endpoint.tags[tag] for tag in ours if tag in endpoint.tags}
    if any(ours[tag] != value for tag, value in told.items()):
        other = "/".join(told.values())
        seen.findings.append(
            f"{environment}: endpoint {endpoint.name} is tagged for another circuit ({other}): {OTHER_TAGS}"
        )
    elif told != ours:
        _adopt(seen, environment, endpoint)
    if endpoint.state in {ProvisioningState.FAILED, ProvisioningState.CANCELED}:
        then = (
            _serving(seen.run) if environment is Environment.PRODUCTION and endpoint.default else "repair or delete it"
        )
        seen.findings.append(f"{environment}: endpoint {endpoint.name} is {endpoint.state}; {then}")


def _serving(run: CircuitRun) -> str:
    """Deleting it would end what production is served by."""
    return f"it has a default and may serve, so do not delete it: repair it, or roll {run.circuit} back, which writes its default again"


def _adopt(seen: _Inspection, environment: Environment, endpoint: Endpoint) -> None:
    """Told until a deployment of ours is the default: the tags of an endpoint that was there before stay as they are."""
    if environment is Environment.PRODUCTION:
        seen.evidence["adopted"] = True
        return
    name = endpoint.default
    if not (name and _is_ours(seen.ports.models.deployment(environment, endpoint.name, name))):
        seen.warnings.append(f"endpoint {endpoint.name} exists in {environment} without our tags and is taken over")


def _is_ours(deployment: Deployment | None) -> bool:
    return deployment is not None and "release_id" in deployment.tags


def _room(seen: _Inspection, environment: Environment, endpoint: Endpoint, have: int) -> None:
    run, limit = seen.run, seen.work.release.policy.deployments_per_endpoint
    deployment = seen.ports.models.deployment(environment, endpoint.name, run.deployment)
    if deployment is None and have >= limit:
        seen.findings.append(
            f"{environment}: endpoint {endpoint.name} has no room: need 1 deployment, have {have} of at most "
            f"{limit}, missing {have + 1 - limit}; delete old ones"
        )
    elif deployment and deployment.tags.get("release_id") != run.release_id:
        owner = deployment.tags.get("release_id") or "nobody we know"
        seen.findings.append(
            f"{environment}: {run.deployment} already exists on {endpoint.name} and belongs to {owner}; delete it"
        )


def _region_collision(seen: _Inspection) -> None:
    """D2: endpoint names are unique per region, across workspaces."""
    run, models = seen.run, seen.ports.models
    if run.test_endpoint != run.endpoint or len(seen.endpoints) == len(Environment):
        return
    regions = {models.region(environment) for environment in Environment}
    if len(regions) == 1:
        seen.find(
            f"endpoint name {run.endpoint} is the same in Test and Production, and both lie in {regions.pop()}, where "
            f"names are unique: set {TEMPLATE_SETTINGS[Environment.TEST]}, for example to be-test-{{plant}}-{{circuit}}",
            Remedy.SETTINGS,
        )


def _region_room(seen: _Inspection) -> None:
    """D2: the circuit's names are free; D4: there is room for the whole release, or each circuit would run into it."""
    uses = region_uses(seen.work, seen.ports)
    quota: dict[str, object] = {}
    findings: dict[str, None] = {}
    for environment, use in uses.items():
        name = _endpoint_name(seen.run, environment)
        if holder := use.others.get(name):
            findings[
                f"{environment}: the name {name} is taken in {use.region} by {holder}; change "
                f"{TEMPLATE_SETTINGS[environment]}, or delete that endpoint"
            ] = None
    for environment, rooms in region_rooms(seen.work, seen.ports, uses).items():
        quota[f"{environment}_region"] = {room.what: room.as_json() for room in rooms}
        seen.shared += [told for room in rooms if room.missing and (told := str(room)) not in seen.shared]
    seen.evidence["quota"] = {**_quota(seen), **quota}
    for finding in (*findings, *seen.shared):
        seen.find(finding, Remedy.SETTINGS)


def _live(seen: _Inspection) -> None:
    """What an approver compares with; a release never goes back in time by accident."""
    seen.live = read_live(seen.run, seen.ports, seen.endpoints.get(Environment.PRODUCTION))
    if _is_ours(seen.live.deployment):
        seen.evidence["adopted"] = False
    seen.evidence |= marks(seen.ports, seen.run, {})
    seen.evidence["live"] = live_evidence(seen.run, seen.ports, seen.live, seen.dev_models)
    cutoff, live_cutoff = seen.run.cutoff_date, seen.live.cutoff_date
    if seen.run.allow_older_cutoff or not (_is_iso_date(live_cutoff) and _is_iso_date(cutoff)):
        return
    if cutoff < live_cutoff:
        seen.find(
            f"cutoff_date {cutoff} is older than {live_cutoff}, which is live ({seen.live.name}); to go back, roll back, "
            'or say "allow_older_cutoff": true in the artifact',
            Remedy.ARTIFACT,
        )
