"""`python -m local demo`: the stack, one release, the summary, and everything stopped again at the end."""

import contextlib
import signal
import sys
import threading
from dataclasses import dataclass

from local.demo.access import LOGIN, key_flags, sign_in_call
from local.demo.approver import ApprovalError
from local.demo.ending import Ending, Fate
from local.demo.holds import holds_of, warning
from local.demo.only_one import DemoRunsError, the_only_demo
from local.demo.options import Options, Scenario
from local.demo.release_run import Outcome, TimeIsUpError, prepare, run_release
from local.demo.rollback_run import lift_hold, roll_back, rollback_call, told
from local.demo.scenarios import STORIES, reasons
from local.demo.seeding import SeedingError
from local.demo.stats import Meters, report
from local.demo.views import make_view
from local.stack.app_settings import app_settings
from local.stack.approvals import approvals_asked
from local.stack.control import StackError, down, running_stack, up
from local.stack.description import Stack
from local.stack.places import Places
from local.stack.ports import is_locked

SUCCEEDED, ENDED_AS_TOLD, UNEXPECTED, INTERRUPTED = 0, 1, 2, 130


def run_demo(places: Places, options: Options) -> int:
    """Run the demo; 0 only for a production summary, 1 for a scenario's failure as told, 2 for anything else.

    A stack that was up before stays up; one that the demo started ends with it. While another demo runs in the same
    directory, nothing is touched.
    """
    try:
        with the_only_demo(places, options.scenario):
            return _run(places, options)
    except DemoRunsError as error:
        print(error, file=sys.stderr)
        return UNEXPECTED


def _run(places: Places, options: Options) -> int:
    # Also a stack that is just starting is somebody else's.
    fate = _fate(options, was_up=is_locked(places.lock))
    # As a person's Ctrl-C: a job that is cancelled ends the stack in order, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_stopped = True
    try:
        code = _with_stack(places, options, fate)
        if fate is Fate.WAITS:
            _stay_until_interrupted()
    except KeyboardInterrupt:
        print("\nInterrupted.")
        code = INTERRUPTED
    finally:
        if fate is not Fate.STAYS:
            is_stopped = _stop(places)
    return code if is_stopped else UNEXPECTED


def _fate(options: Options, *, was_up: bool) -> Fate:
    """A person who watches may look around afterwards; nobody else would ever stop the stack."""
    if was_up:
        return Fate.STAYS
    is_watched = sys.stdout.isatty() and sys.stdin.isatty() and not options.auto
    return Fate.WAITS if is_watched else Fate.STOPS


def _with_stack(places: Places, options: Options, fate: Fate) -> int:
    try:
        if running_stack(places) is None:
            print("Starting the stack:", flush=True)
        conditions = STORIES[options.scenario].conditions
        with app_settings(places, conditions.app_settings, fresh=conditions.fresh_app):
            stack = up(places, lambda line: print(line, flush=True), tethered=True, approvals=approvals_asked())
            print(look_around(stack), flush=True)
            return _Demo(options=options, ending=Ending(places=places, stack=stack, fate=fate)).run()
    except StackError as error:
        print(f"\n❌ {error}", file=sys.stderr)
        return UNEXPECTED
    except (SeedingError, ApprovalError, TimeIsUpError, OSError, RuntimeError) as error:
        print(f"\n❌ {error}\nLogs: {places.logs}", file=sys.stderr)
        return UNEXPECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demo:
    options: Options
    ending: Ending

    @property
    def stack(self) -> Stack:
        return self.ending.stack

    def run(self) -> int:
        if self.options.scenario is Scenario.ROLLBACK:
            return self._there_and_back()
        return self._verdict(self._release())

    def _there_and_back(self) -> int:
        """Two releases, so that there is something to go back to, and one circuit put back."""
        if lift_hold(self.stack):
            print("The hold of an earlier demo is lifted: releases may activate the circuit again.", flush=True)
        for _ in range(2):
            outcome = self._release()
            if outcome.complaints:
                return self._verdict(outcome)
        print(f"\n{outcome.release['summary']}\n\nRolling back:\n  {rollback_call(self.stack, outcome.release)}")
        result = roll_back(self.stack, outcome.release, self.options.limit)
        print(f"\n{told(result.rollback)}")
        if result.complaints:
            lines = "\n".join(f"  - {line}" for line in result.complaints)
            print(f"\n❌ Not what a rollback should end in:\n{lines}\nLogs: {self.stack.logs}")
            return UNEXPECTED
        print(f"\n{self.ending.after_rollback(outcome.release)}")
        return SUCCEEDED

    def _release(self) -> Outcome:
        print("A training build leaves its models in Dev and its test data in Test …", flush=True)
        artifact, left = prepare(self.stack, self.options.scenario)
        print(f"  {left}", flush=True)
        if holds := holds_of(self.stack, artifact.content["circuits"]):
            print(warning(self.stack, holds), flush=True)
        print(f"Uploading {self.stack.artifact_container}/{artifact.path}", flush=True)
        meters = Meters(self.stack) if self.options.stats else None
        before = meters.read() if meters else None
        outcome = run_release(
            self.stack,
            artifact,
            self.options.scenario,
            make_view(self.stack),
            auto=self.options.auto,
            limit=self.options.limit,
            meters=meters,
        )
        if meters and before and outcome.counted:
            everything = outcome.counted.minus(before)
            own = meters.own_looks(everything, artifact.release_id, outcome.looks)
            print("\n" + report(everything, own, outcome.looks, outcome.release))
        return outcome

    def _verdict(self, outcome: Outcome) -> int:
        release, scenario = outcome.release, self.options.scenario
        summary = release.get("summary") or "\n".join(reasons(release))
        print(f"\n{summary}")
        holds = holds_of(self.stack, release["circuits"])
        if outcome.complaints:
            told = "\n".join(f"  - {line}" for line in outcome.complaints)
            print(f"\n❌ Not what the scenario {scenario} should end in:\n{told}\nLogs: {self.stack.logs}")
            print(f"\n{self.ending.after_failure(holds)}")
            return UNEXPECTED
        if outcome.shown:
            print("\nShown:\n" + "\n".join(f"  - {line}" for line in outcome.shown))
        if STORIES[scenario].phase == "succeeded":
            print(f"\n{self.ending.after_release(release, holds)}")
            return SUCCEEDED
        print(f"\nRelease {release['release_id']} ended {release['phase']}, as the scenario {scenario} tells.")
        print("No write to mlw-dev, none to the Registry or mlw-prod before its gate: the Azure ML journal shows it.")
        print(f"\n{self.ending.after_failure(holds)}")
        return ENDED_AS_TOLD


def look_around(stack: Stack) -> str:
    """Where a person can look while the stack is up."""
    return "\n".join(
        [
            f"  app       {stack.app_url}",
            *([f"  sign in   {stack.app_url}{LOGIN}, or {sign_in_call(stack)}"] if stack.approvals == "entra" else []),
            f"  mails     {stack.mail_url}",
            f"  Teams     {stack.teams_inbox_url}",
            f"  releases  curl {key_flags(stack)} {stack.app_url}/api/releases",
            f"  logs      {stack.logs}",
        ]
    )


def _stay_until_interrupted() -> None:
    """How a person ends a demo: no interruption of anything."""
    print("\nThe stack stays up for you to look around; Ctrl-C stops it.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _stop(places: Places) -> bool:
    """Whether nothing is left. Not to be interrupted: a second Ctrl-C would leave processes behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("Stopping the stack …", flush=True)
    try:
        down(places)
    except StackError as error:
        print(error, file=sys.stderr)
        return False
    return True
