"""Wherever the process dies, the release comes to the same end, and nothing is made twice (issue 5.4)."""

from collections import Counter
from collections.abc import Iterable
from functools import cache

import pytest

from tests.simulation.crash_points import BEFORE, RELEASE, OneRelease, OneThatGoesBack, crash_after
from tests.simulation.universe import Nets, Result

SHARES = 8


@cache
def undisturbed() -> Result:
    return crash_after(0)


def test_the_undisturbed_release_succeeds() -> None:
    """What every crashed one is compared with: five models, ten deployments, five jobs, each mail once."""
    result = undisturbed()

    assert not result.violation, result.told()
    assert result.phases == (f"{RELEASE} succeeded",)
    assert (len(result.promoted), len(result.deployments), len(result.jobs)) == (5, 12, 5)
    assert set(Counter(result.mails).values()) == {1}
    assert result.effects > 100


@pytest.mark.parametrize("share", range(SHARES))
def test_a_crash_after_any_effect_changes_nothing_about_the_end(share: int) -> None:
    """After the k-th table write, send, Azure ML call or mail, for every k; a repeated mail is the same message."""
    same_end(range(1 + share, undisturbed().effects + 1, SHARES), Nets.ALL)


def test_a_mail_that_goes_out_twice_is_the_same_message() -> None:
    """Killed right after the mail server has taken it: it goes out once more, under the Message-ID that it had."""
    quiet = OneRelease()
    expected = Counter(quiet.run().mails)
    assert len(quiet.mail_effects) == expected.total() > 5
    for effect, mail in zip(quiet.mail_effects, quiet.inbox.keys, strict=True):
        assert Counter(crash_after(effect).mails) == expected + Counter([mail]), effect


def test_the_sweeper_alone_brings_a_crashed_release_to_the_same_end() -> None:
    """Messages of a killed process never come again; a sample of all effects."""
    same_end(range(1, undisturbed().effects + 1, 7), Nets.NO_REDELIVERY)


def test_killed_while_it_activates_a_release_that_goes_back_is_all_old() -> None:
    """D11: one circuit can't be switched, and the process dies after any one effect from the first switch to the end."""
    quiet = OneThatGoesBack()
    expected = quiet.run()
    assert not expected.violation, expected.told()
    assert production(expected) == {f"be-plant001-circuit0{n} {BEFORE}" for n in (1, 2)}
    for effect in range(quiet.first_switch, expected.effects + 1):
        result = OneThatGoesBack(effect).run()
        told = f"crash after effect {effect}\n{result.told()}"
        assert not result.violation, told
        assert result.phases == expected.phases == (f"{RELEASE} failed",), told
        assert result.defaults == expected.defaults, told


def production(result: Result) -> set[str]:
    """Endpoint and default of those in Production that have one."""
    found = (line.split(maxsplit=2) for line in result.defaults)
    return {" ".join(rest) for environment, *rest in found if environment == "production" and len(rest) == 2}


def same_end(effects: Iterable[int], nets: Nets) -> None:
    expected = undisturbed()
    for effect in effects:
        result = crash_after(effect, nets=nets)
        told = f"crash after effect {effect}\n{result.told()}"
        assert not result.violation, told
        assert result.phases == expected.phases, told
        assert result.promoted == expected.promoted, told
        assert result.deployments == expected.deployments, told
        assert result.defaults == expected.defaults, told
        assert result.jobs == expected.jobs, told
        assert set(result.mails) == set(expected.mails), told
        assert sum(Counter(result.mails).values()) <= len(expected.mails) + 1, told
