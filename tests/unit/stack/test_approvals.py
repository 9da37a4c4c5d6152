"""`APPROVALS=entra make up`: the same app with other settings, and a host that knows people."""

import fcntl
import json
from pathlib import Path

import pytest

from local.functions_host.settings import load_settings
from local.stack.approvals import Approvals, approvals_asked, keep, kept
from local.stack.control import StackError, up
from local.stack.description import write_description
from local.stack.keys import stack_secrets
from local.stack.parts import describe
from local.stack.places import ROOT, Places
from local.stack.ports import Ports
from local.stack.settings import APPROVERS, OPERATORS, write_settings


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(dir=tmp_path, ports=Ports(base=20000))


def written(places: Places) -> dict[str, str]:
    """The app's settings as the stack writes them."""
    write_settings(places, describe(places), stack_secrets(places))
    values: dict[str, str] = json.loads(places.settings.read_text())["Values"]
    return values


def test_without_the_switch_links_decide_and_nobody_signs_in(places: Places) -> None:
    """As before: the host has no Easy Auth."""
    assert written(places)["APPROVAL_MODE"] == "link"
    assert load_settings(ROOT, places.settings).people == ()
    assert describe(places).approvals == "link"


def test_with_it_those_who_get_the_mails_can_sign_in_and_decide(places: Places) -> None:
    """Links alone decide nothing then; operators, readers and somebody without a role are there as well."""
    keep(places, Approvals.ENTRA)
    values = written(places)
    assert (values["APPROVAL_MODE"], values["ALLOW_LINK_APPROVALS"]) == ("entra", "false")
    roles = {person.name: set(person.roles) for person in load_settings(ROOT, places.settings).people}
    assert all("ReleaseApprover" in roles[name] for name in APPROVERS.split(","))
    assert "ReleaseOperator" in roles[OPERATORS]
    assert set() in roles.values()
    assert {"ReleaseReader"} in roles.values()


def test_the_choice_outlives_the_process_that_made_it(places: Places) -> None:
    """A story that restarts the app with other settings must not turn it round."""
    keep(places, Approvals.ENTRA)
    assert kept(Places(dir=places.dir, ports=places.ports)) is Approvals.ENTRA


@pytest.mark.parametrize(("text", "asked"), [("", None), ("link", Approvals.LINK), ("entra", Approvals.ENTRA)])
def test_the_variable_is_read_as_written(monkeypatch: pytest.MonkeyPatch, text: str, asked: Approvals | None) -> None:
    monkeypatch.setenv("APPROVALS", text)
    assert approvals_asked() is asked


def test_another_word_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPROVALS", "email")
    with pytest.raises(SystemExit, match="'email': give link or entra"):
        approvals_asked()


def test_a_stack_that_is_up_the_other_way_is_not_taken_for_it(places: Places) -> None:
    """Its app runs with other settings: say so, and how to stop it."""
    write_description(places, describe(places))
    with places.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert up(places, print).approvals == "link"
        with pytest.raises(StackError, match="APPROVALS=link: make down stops it"):
            up(places, print, approvals=Approvals.ENTRA)
