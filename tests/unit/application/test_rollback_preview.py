"""Unit: what the rollback page shows before anybody confirms, and the code that a personal link asks for."""

from datetime import timedelta

import pytest

from shared.application.codes import RollbackCodes
from shared.application.ports import RollbackClaim
from shared.application.rollback_preview import MOST_LOOKED_AT, CircuitPreview, Previews, RollbackPreview
from shared.application.rollbacks import RollbackRequest
from shared.domain.errors import RequestRefused, TransientError
from shared.domain.model import Circuit, ReleasePhase
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.pipeline_world import OPERATORS, PipelineWorld
from tests.support.rolled import ENDPOINT, FIRST, IDS, PRODUCTION, SECOND, released

SECOND_ID = IDS[1]


@pytest.fixture
def twice(world: PipelineWorld) -> PipelineWorld:
    """Two releases of the same circuits."""
    return released(world, 2)


def preview(world: PipelineWorld, release_id: str = SECOND_ID) -> RollbackPreview:
    return Previews(world.ports).of(RollbackRequest(requested_by="", reason="", release_id=release_id))


def of(world: PipelineWorld, circuit: Circuit = CIRCUIT) -> CircuitPreview:
    return next(found for found in preview(world).circuits if found.target.circuit == circuit)


def test_it_shows_what_is_live_what_comes_back_and_that_it_can_serve(twice: PipelineWorld) -> None:
    """One look at the deployment and one at the endpoint, and nothing is written."""
    writes = len(twice.models.production_writes())
    seen = of(twice)
    assert (seen.live, seen.target.to, seen.healthy, seen.health) == (SECOND, FIRST, True, "Succeeded")
    assert len(preview(twice).circuits) == 3
    assert len(twice.models.production_writes()) == writes
    assert twice.lock().owner == SECOND_ID


def test_a_target_that_is_gone_is_not_healthy(twice: PipelineWorld) -> None:
    """Somebody deleted it; the others are fine."""
    twice.models.delete_deployment(PRODUCTION, ENDPOINT, FIRST)
    twice.clock.forward(timedelta(minutes=1))
    assert (of(twice).healthy, of(twice).health) == (False, f"{FIRST} does not exist on {ENDPOINT}")
    assert of(twice, OTHER_CIRCUIT).healthy


def test_a_default_changed_outside_is_shown(twice: PipelineWorld) -> None:
    """What the app believes and what is live are told apart."""
    twice.models.set_default(PRODUCTION, ENDPOINT, FIRST)
    twice.clock.forward(timedelta(minutes=1))
    assert of(twice).live == FIRST
    assert any("changed outside" in line for line in of(twice).attention)


def test_a_service_that_does_not_answer_still_lets_people_go_on(twice: PipelineWorld) -> None:
    """At 3 a.m. the page must open; the rollback looks again before it changes anything."""
    twice.models.fail_next("deployment", TransientError("503"), times=99)
    assert of(twice).healthy is None
    assert "503" in of(twice).health


def test_a_release_at_work_and_a_hold_are_named(twice: PipelineWorld) -> None:
    """What else is affected."""
    twice.holds().hold(CIRCUIT, until=None, by="ops", why="looked odd")
    assert any("because looked odd" in line for line in of(twice).attention)
    twice.start("20251212.1", OTHER_CIRCUIT, build="3")
    twice.to_phase(ReleasePhase.STAGING_PRODUCTION, "20251212.1")
    twice.run(lambda: twice.lock(OTHER_CIRCUIT).owner == "20251212.1")
    assert any("20251212.1 is at work here" in line for line in of(twice, OTHER_CIRCUIT).attention)


def test_a_first_release_has_nothing_to_go_back_to(world: PipelineWorld) -> None:
    """D6, in words instead of a form."""
    world.release_all()
    assert "there is nothing before it" in preview(world, RELEASE_ID).refused


def test_an_unknown_release_is_refused(world: PipelineWorld) -> None:
    """404, as the API answers."""
    with pytest.raises(RequestRefused) as refused:
        preview(world, "20300101.1")
    assert refused.value.status == 404


def test_of_many_circuits_only_the_first_are_looked_at(world: PipelineWorld) -> None:
    """The page opens at once; every circuit is looked at by its own rollback anyway."""
    circuits = tuple(Circuit(plant_id="PLANT009", circuit_id=f"C{n:02}") for n in range(MOST_LOOKED_AT + 3))
    for number, release_id in enumerate((RELEASE_ID, SECOND_ID)):
        world.release_all(release_id, *circuits, build=str(number))
        world.clock.forward(timedelta(days=1))
    looked = [found.healthy for found in preview(world).circuits]
    assert looked == [True] * MOST_LOOKED_AT + [None] * 3


def test_the_code_of_the_mail_opens_and_five_wrong_ones_void_the_link(twice: PipelineWorld) -> None:
    """Nobody tries a million codes; another person's link still works."""
    (mail,) = [
        letter
        for letter in twice.mail.letters
        if letter.rollback_link and letter.notice.recipient == OPERATORS[0] and letter.release.release_id == SECOND_ID
    ]
    assert mail.rollback_link
    claim = twice.ports.tokens.read_rollback(mail.rollback_link.url.partition("link=")[2])
    assert claim is not None
    assert (claim.release_id, claim.recipient) == (SECOND_ID, OPERATORS[0])
    codes = RollbackCodes(twice.ports)
    codes.check(claim, f" {mail.rollback_link.code} ")
    for left in ("4 tries", "3 tries", "2 tries", "1 try"):
        assert not codes.is_void(claim)
        with pytest.raises(RequestRefused, match=f"{left} left"):
            codes.check(claim, "nonsense")
    for code in ("nonsense", mail.rollback_link.code):
        with pytest.raises(RequestRefused, match="wrong too often"):
            codes.check(claim, code)
    assert codes.is_void(claim)
    other = RollbackClaim(release_id=SECOND_ID, recipient="otto@example.com")
    assert not codes.is_void(other)
    codes.check(other, twice.ports.tokens.code(other))


def test_only_mails_about_a_success_carry_the_link(twice: PipelineWorld) -> None:
    """A card never does: everybody in the channel sees it."""
    assert not any(letter.rollback_link for letter in twice.teams.letters)
    moments = {letter.notice.moment for letter in twice.mail.letters if letter.rollback_link}
    assert moments == {"release_succeeded"}
