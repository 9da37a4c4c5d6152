"""`python -m local demo`: the stack, one release, the summary, and everything stopped again at the end."""

import json
import signal
import sys
import threading
from dataclasses import dataclass

from local.demo.approver import ApprovalError
from local.demo.options import Options
from local.demo.release_run import Outcome, TimeIsUpError, prepare, run_release
from local.demo.releases import Release
from local.demo.rollback_run import lift_hold, roll_back, rollback_call, told
from local.demo.scenarios import STORIES, Scenario, reasons
from local.demo.seeding import SeedingError
from local.demo.stats import Meters, report
from local.demo.views import make_view
from local.stack.app_settings import app_settings
from local.stack.control import StackError, down, running_stack, up
from local.stack.description import Stack
from local.stack.places import Places

SUCCEEDED, ENDED_AS_TOLD, UNEXPECTED, INTERRUPTED = 0, 1, 2, 130


def run_demo(places: Places, options: Options) -> int:
    """Run the demo; 0 only for a production summary, 1 for a scenario's failure as told, 2 for anything else.

    A stack that was up before stays up; one that the demo started ends with it.
    """
    was_up = running_stack(places) is not None
    # As a person's Ctrl-C, so a terminal that closes and a job that is cancelled end the stack in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = _with_stack(places, options)
        if not was_up and _is_watched(options):
            _stay_until_interrupted()
    except KeyboardInterrupt:
        print("\nInterrupted.")
        code = INTERRUPTED
    finally:
        if not was_up:
            _stop(places)
    return code


def _with_stack(places: Places, options: Options) -> int:
    try:
        if running_stack(places) is None:
            print("Starting the stack:", flush=True)
        conditions = STORIES[options.scenario].conditions
        with app_settings(places, conditions.app_settings, fresh=conditions.fresh_app):
            stack = up(places, lambda line: print(line, flush=True), tethered=True)
            print(look_around(stack), flush=True)
            return _Demo(stack=stack, options=options).run()
    except StackError as error:
        print(f"\n❌ {error}", file=sys.stderr)
        return UNEXPECTED
    except (SeedingError, ApprovalError, TimeIsUpError, OSError, RuntimeError) as error:
        print(f"\n❌ {error}\nLogs: {places.logs}", file=sys.stderr)
        return UNEXPECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demo:
    stack: Stack
    options: Options

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
        print(f"\n{after_rollback(self.stack, outcome.release)}")
        return SUCCEEDED

    def _release(self) -> Outcome:
        print("A training build leaves its models in Dev and its test data in Test …", flush=True)
        artifact, left = prepare(self.stack, self.options.scenario)
        print(f"  {left}\nUploading {self.stack.artifact_container}/{artifact.path}", flush=True)
        meters = Meters(self.stack) if self.options.stats else None
        before = meters.read() if meters else None
        outcome = run_release(
            self.stack,
            artifact,
            self.options.scenario,
            make_view(self.stack),
            auto=self.options.auto,
            limit=self.options.limit,
        )
        if meters and before:
            cost = meters.read().minus(before)
            own = meters.cost_of_looking(artifact.release_id, outcome.looks)
            print("\n" + report(cost.minus(own), outcome.release))
        return outcome

    def _verdict(self, outcome: Outcome) -> int:
        release, scenario = outcome.release, self.options.scenario
        if release.get("summary"):
            print(f"\n{release['summary']}")
        if outcome.complaints:
            told = "\n".join(f"  - {line}" for line in (*outcome.complaints, *reasons(release)))
            print(f"\n❌ Not what the scenario {scenario} should end in:\n{told}\nLogs: {self.stack.logs}")
            return UNEXPECTED
        if STORIES[scenario].phase == "succeeded":
            print(f"\n{next_steps(self.stack, release)}")
            return SUCCEEDED
        print(f"\nRelease {release['release_id']} ended {release['phase']}, as the scenario {scenario} tells.")
        print("No write to mlw-dev, none to the Registry or mlw-prod before its gate: the Azure ML journal shows it.")
        return ENDED_AS_TOLD


def look_around(stack: Stack) -> str:
    """Where a person can look while the stack is up."""
    return "\n".join(
        [
            f"  app       {stack.app_url}",
            f"  mails     {stack.mail_url}",
            f"  Teams     {stack.teams_inbox_url}",
            f"  releases  curl -H 'x-functions-key: {stack.function_key}' {stack.app_url}/api/releases",
            f"  logs      {stack.logs}",
        ]
    )


def next_steps(stack: Stack, release: Release) -> str:
    """What a person may want to do after a release: look, go back, stop."""
    return "\n".join(
        [
            f"Look around  the mails at {stack.mail_url} link to the release's page; the cards: {stack.teams_inbox_url}",
            "Roll back    one circuit to the deployment before this release's (a first release has none: 409 says so):",
            f"             {rollback_call(stack, release)}",
            "Stop         Ctrl-C here, or make down if make up started the stack",
        ]
    )


def after_rollback(stack: Stack, release: Release) -> str:
    """What a rollback leaves behind: a hold, and how to lift it."""
    circuit = release["circuits"][0]
    address = f"{stack.app_url}/api/circuits/{circuit['plant_id']}/{circuit['circuit_id']}"
    body = json.dumps({"action": "lift", "reason": "your reason", "requested_by": "you"})
    key = f"-H 'x-functions-key: {stack.function_key}'"
    return "\n".join(
        [
            "Held         no release activates the circuit now; who holds it, why and until when:",
            f"             curl {key} {address}",
            "Lift it      so that the next release may activate the circuit:",
            f"             curl -X POST {key} -H 'Content-Type: application/json' -d '{body}' {address}/hold",
        ]
    )


def _is_watched(options: Options) -> bool:
    return sys.stdout.isatty() and sys.stdin.isatty() and not options.auto


def _stay_until_interrupted() -> None:
    print("\nThe stack stays up for you to look around; Ctrl-C stops it.", flush=True)
    threading.Event().wait()


def _stop(places: Places) -> None:
    """Not to be interrupted: a second Ctrl-C would leave processes behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("Stopping the stack …", flush=True)
    try:
        down(places)
    except StackError as error:
        print(error, file=sys.stderr)
