"""Defects in what is made of a service that refuses, of writes that are several, and of changed contents: each must be caught."""

from dataclasses import replace
from typing import Any

from shared.application import notices
from shared.application import worker as worker_module
from shared.application.fanout import FanOutPage
from shared.application.operations import Operations
from shared.application.ports import Ports
from shared.application.steps import deploy, promote, restore, smoke_test
from shared.domain.model import NoticeState
from tests.simulation import refusals
from tests.simulation.defects import NO_REDELIVERY, Mutant, Patches


class _Later:
    """A port of which one call is put off."""

    def __init__(self, inner: Any, name: str) -> None:
        self._inner, self._name = inner, name
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            return lambda *args: self.calls.append(args)
        return getattr(self._inner, name)


def circuits_are_listed_after_their_rows(patches: Patches) -> None:
    """Whoever dies in between leaves circuits that no list finds."""
    hand_out = FanOutPage._hand_out

    def late(self: Any, stored: Any, command: Any) -> Any:
        later = _Later(self.ports.releases, "list_circuits")
        release = hand_out(FanOutPage(_with_releases(self.ports, later)), stored, command)
        for call in later.calls:
            self.ports.releases.list_circuits(*call)
        return release

    patches.set(FanOutPage, "_hand_out", late)


def a_retry_is_listed_after_its_row(patches: Patches) -> None:
    """Whoever dies in between leaves a release at work that the sweeper does not know of."""
    retry = Operations.retry

    def late(self: Any, *args: Any, **named: Any) -> Any:
        later = _Later(self.ports.releases, "reactivate")
        release = retry(Operations(_with_releases(self.ports, later)), *args, **named)
        for call in later.calls:
            self.ports.releases.reactivate(*call)
        return release

    patches.set(Operations, "retry", late)


def _with_releases(ports: Ports, releases: Any) -> Ports:
    return replace(ports, releases=releases)


class _Never(Exception):
    """Raised by nobody."""


def a_role_that_is_missing_fails_the_circuit(patches: Patches) -> None:
    """What the simulation found in our own code: a release failed, and what it had switched stayed live."""
    patches.set(refusals, "StoreRefused", refusals.RoleMissing)
    patches.set(restore, "PermanentError", _Never)


def what_a_channel_refuses_counts_as_sent(patches: Patches) -> None:
    def silent(stored: Any, _error: str, ports: Any) -> None:
        notices._write(stored, replace(stored.row, state=NoticeState.SENT, due_at=None), ports)

    patches.set(notices, "_give_up", silent)


def mails_go_out_again(patches: Patches) -> None:
    """A message that was taken is not known to be so at once."""
    waiting = notices._waiting

    def twice(command: Any, ports: Any) -> Any:
        stored = waiting(command, ports)
        letter = notices._letter(stored.row, ports) if stored else None
        if stored and letter and stored.row.channel in ports.notifiers:
            ports.notifiers[stored.row.channel].deliver(letter)
        return stored

    patches.set(notices, "_waiting", twice)


def what_keeps_a_step_from_its_work_is_not_told(patches: Patches) -> None:
    """What the simulation found in our own code: a refused switch was told at its deadline, if it came to that."""
    patches.set(worker_module, "_told", lambda *_args: None)


def other_content_is_promoted(patches: Patches) -> None:
    """Only tags are compared with what gate 1 was shown."""

    def tags_alone(run: Any, ports: Any) -> str:
        models = ports.models.dev_models(run.model_name)
        model = next((m for m in models if m.version == run.source_version), None)
        return promote._tag_changes(run, model) if model else "it is gone"

    patches.set(promote, "_change_since_approval", tags_alone)
    patches.set(promote, "_other_content", lambda *_args: "")


def other_content_is_staged(patches: Patches) -> None:
    """Only tags are compared with what gate 2 was shown."""

    def tags_alone(run: Any, ports: Any) -> str:
        model = ports.models.registry_model(run.model_name, run.model_version)
        return "" if model and dict(model.tags) == dict(run.registry_tags) else "other tags"

    patches.set(deploy, "_change_since_approval", tags_alone)


def known_output_is_not_compared(patches: Patches) -> None:
    patches.set(smoke_test, "_known_output", lambda *_args: None)


DEFECTS = (
    Mutant.of("circuits are listed after their rows", circuits_are_listed_after_their_rows, "crashing"),
    Mutant.of("a retry is listed after its row", a_retry_is_listed_after_its_row, "crashing", nets=NO_REDELIVERY),
    Mutant.of("a role that is missing fails the circuit", a_role_that_is_missing_fails_the_circuit, "refusing"),
    Mutant.of("what a channel refuses counts as sent", what_a_channel_refuses_counts_as_sent, "refusing"),
    Mutant.of("mails go out again", mails_go_out_again, "quiet"),
    Mutant.of("what keeps a step from its work is not told", what_keeps_a_step_from_its_work_is_not_told, "refusing"),
    Mutant.of("other content is promoted", other_content_is_promoted, "meddled"),
    Mutant.of("other content is staged", other_content_is_staged, "meddled"),
    Mutant.of("known output is not compared", known_output_is_not_compared, "meddled"),
)
