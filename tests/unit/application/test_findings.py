"""Unit: a region that has no room is told once per region where people read, and in full on each circuit's own row."""

import json

import pytest

from shared.adapters.teams_card import card_message
from shared.application.findings import own_error, told_once
from shared.application.queries import Queries
from shared.domain.model import CircuitPhase, Moment, ReleasePhase
from shared.domain.policy import Policy
from shared.pages import render_mail, render_release
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID, THIRD_CIRCUIT, a_run
from tests.support.circuit_world import ESTATE
from tests.support.outline import text_of
from tests.support.pipeline_world import PipelineWorld

FULL = [
    f"egion {region} has no room for the release's endpoints: need 3, have 0 of at most 2, missing 1; delete unused ones, "
    "or have the quota raised and set ENDPOINT_QUOTA"
    for region in ("northeurope", "westeurope")
]
"""Without the first letter, which a page may raise."""


@pytest.fixture
def full() -> PipelineWorld:
    """Three circuits, and room for two endpoints in each region; the third circuit has files that nobody expects, too."""
    world = PipelineWorld(policy=Policy(endpoint_quota=2))
    world.start()
    world.models.add_smoke_input(THIRD_CIRCUIT, "test_input.csv", "other.csv")
    world.run()
    assert world.phase() is ReleasePhase.FAILED
    return world


def read(world: PipelineWorld) -> dict[str, str]:
    """What people read of the failure, by where; the page without its history, which is each row's own."""
    letter = next(one for one in world.mail.letters if one.notice.moment is Moment.RELEASE_FAILED)
    mail, page = render_mail(letter, ESTATE), text_of(render_release(Queries(world.ports).release_view(RELEASE_ID)))
    summary, circuits = page.partition("All of this as text")[2].partition(" Circuits Circuit Now ")[::2]
    return {
        "reason": world.release().reason,
        "mail": mail.text,
        "mail in HTML": text_of(mail.html),
        "page as text": summary,
        "page": page.partition("All of this as text")[0] + circuits.partition(" History ")[0],
    }


@pytest.mark.parametrize("finding", FULL)
def test_what_a_region_lacks_is_said_once_where_it_is_read(full: PipelineWorld, finding: str) -> None:
    """D4: in the reason, the mail, the page and its summary; not three times for three circuits."""
    assert {where: text.count(finding) for where, text in read(full).items()} == dict.fromkeys(read(full), 1)


def test_what_a_circuit_has_of_its_own_stays_beside_it(full: PipelineWorld) -> None:
    """It comes first, and the region by its beginning."""
    own = "test data: test-data/PLANT002/CIRCUIT01/ must hold test_input.csv alone, not also other.csv"
    told = (
        f"3 findings: (1) {own}; (2) region northeurope has no room for the release's endpoints (see above); "
        "(3) region westeurope has no room for the release's endpoints (see above)"
    )
    texts = read(full)
    assert [where for where, text in texts.items() if told not in text] == ["reason"]
    assert texts["reason"].endswith(f"; {THIRD_CIRCUIT}: {own}")
    assert f"{CIRCUIT}: " not in texts["reason"]


def test_each_row_keeps_all_of_its_own_and_so_does_the_api(full: PipelineWorld) -> None:
    """Whoever opens one circuit needs no other to understand it."""
    told = Queries(full.ports).release(RELEASE_ID)["circuits"]
    for errors in ([run.error for run in full.runs()], [one["error"] for one in json.loads(json.dumps(told))]):
        assert [all(finding in error for finding in FULL) for error in errors] == [True] * 3


def test_the_card_names_the_region_once_in_full(full: PipelineWorld) -> None:
    """In its reason; a line per circuit has the beginning."""
    card = json.dumps(card_message(full.teams.letters[-1]), ensure_ascii=False)
    assert card.count(FULL[0]) == 1
    assert card.count("egion northeurope has no room for the release's endpoints (see above)") == 3


def test_one_circuit_that_failed_alone_says_it_itself() -> None:
    """There is nothing above it."""
    run = a_run(phase=CircuitPhase.FAILED, error="x: y", evidence={"findings": {"own": [], "shared": ["x: y"]}})
    assert told_once([run]) == ()
    assert own_error(run, told_once([run])) == "x: y"


def test_findings_of_an_earlier_try_say_nothing_of_a_later_one(full: PipelineWorld) -> None:
    """They go with the error; another circuit's later error is shown as it is."""
    full.operations().retry(RELEASE_ID, by="ops", reason="room was made", exclude={str(THIRD_CIRCUIT): "later"})
    full.run(lambda: full.circuit(OTHER_CIRCUIT).phase is CircuitPhase.INSPECTING)
    assert told_once(full.runs()) == ()
    assert "findings" not in full.circuit(OTHER_CIRCUIT).evidence
    later = a_run(OTHER_CIRCUIT, phase=CircuitPhase.FAILED, error="the job failed")
    assert own_error(later, FULL) == "the job failed"
