"""Pages: the jinja2 environment of all templates; everything is escaped unless it is plain text."""

from jinja2 import ChainableUndefined, Environment, PackageLoader, select_autoescape

from shared.application.evidence import schema_findings
from shared.application.findings import own_error, told_once
from shared.application.gate_texts import GATE_TITLES, who_must_approve
from shared.application.next_action import advice, diagnosis, found, next_action
from shared.application.phases_told import round_name, words
from shared.application.progress import STAGES, progress
from shared.application.rollback_told import rollback_name, took_told
from shared.application.summary import outcome, reason_told
from shared.application.votes import too_few
from shared.domain.requester import requester_told
from shared.pages import formats
from shared.pages.circuit_facts import table

# ChainableUndefined: evidence of older or broken releases lacks keys, and the page must still open.
ENVIRONMENT = Environment(
    loader=PackageLoader("shared.pages", "."),
    autoescape=select_autoescape(enabled_extensions=("html",), default_for_string=True, default=False),
    undefined=ChainableUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(
    advice=advice,
    age=formats.age,
    carry=formats.carry,
    count=formats.count,
    diagnosis=diagnosis,
    duration=formats.duration,
    found=found,
    iso=formats.iso,
    mapping=table,
    mark=formats.mark,
    moment=formats.moment,
    number=formats.number,
    progress=progress,
    round_name=round_name,
    schema_findings=schema_findings,
    short=formats.short,
    since=formats.since,
    time_left=formats.time_left,
    web_address=formats.web_address,
    words=words,
)
ARTIFACT_FORM = """releases/{release_id}/{build_id}/changed_circuits.json
{"schema_version": 1, "release_id": "20251210.1", "build_id": "12345",
 "circuits": [{"plant_id": "PLANT001", "circuit_id": "CIRCUIT01", "cutoff_date": "2025-11-01"}]}"""
ENVIRONMENT.globals.update(
    ARTIFACT_FORM=ARTIFACT_FORM,
    GATE_TITLES=GATE_TITLES,
    SIGNS=formats.SIGNS,
    STAGES=STAGES,
    next_action=next_action,
    outcome=outcome,
    own_error=own_error,
    reason_told=reason_told,
    requester_told=requester_told,
    told_once=told_once,
    too_few=too_few,
    took=took_told,
    who_must_approve=who_must_approve,
    rollback_name=rollback_name,
)
