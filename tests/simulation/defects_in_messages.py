"""Defects in messages, dead letters and the safety nets: each must be caught."""

import itertools
import sys
from dataclasses import replace
from typing import Any

from shared.application import dead_letters, messages, notices
from shared.application import sweeper as sweeper_module
from shared.application import worker as worker_module
from shared.application.dispatcher import Dispatcher
from shared.application.slots import Slots
from shared.application.steps import smoke_test
from shared.application.sweeper import Sweeper
from shared.application.worker import Worker
from tests.simulation.bus import SimBus
from tests.simulation.defects import NO_REDELIVERY, NO_SWEEPER, Mutant, Patches


def a_redrive_keeps_its_id(patches: Patches) -> None:
    def same_id(command: Any) -> str:
        return messages.message_id(replace(command, redrive=0))

    patches.set(sys.modules[SimBus.__module__], "message_id", same_id)


def dead_letters_of_the_past_count(patches: Patches) -> None:
    def give_up(self: Worker, command: Any, reason: str) -> None:
        found = self.ports.releases.release_and_run(command.release_id, command.circuit)
        if found is None:
            return
        error = f"the message was dead-lettered ({reason})"
        event = worker_module.StepErrored(at=self.ports.clock.now(), error=error)
        Dispatcher(self.ports).to_run(*found, event)

    patches.set(Worker, "give_up", give_up)


def dead_letters_are_thrown_away(patches: Patches) -> None:
    patches.set(dead_letters.DeadLetters, "handle", lambda _self, _body, _reason: None)


def dead_letters_raise(patches: Patches) -> None:
    """With state out of reach a dead letter goes back to its queue, which delivers it again at once."""

    def give_back(_command: Any, error: Any, _ports: Any) -> None:
        raise error

    patches.set(dead_letters, "postpone", give_back)


def each_look_names_a_new_job(patches: Patches) -> None:
    tries = itertools.count()

    def fresh(release_id: str, gen: int, circuit: Any, attempt: int = 0) -> str:
        del attempt
        return f"smoke-{release_id}-{gen}-{circuit}-{next(tries)}".replace("/", "-")

    def start(work: Any, ports: Any) -> Any:
        name = fresh(work.run.release_id, work.run.gen, work.run.circuit)
        if work.run.job_name and (job := ports.models.job(work.run.job_name)):
            return smoke_test_judged(work, ports, job)
        job = ports.models.start_smoke_job(
            endpoint=work.run.test_endpoint, deployment=work.run.deployment, circuit=work.run.circuit, job_name=name
        )
        return smoke_test.StillRunning(facts={"job_name": job.name})

    def smoke_test_judged(work: Any, ports: Any, job: Any) -> Any:
        match smoke_test._verdict(ports, job, smoke_test._limit(work, job)):
            case smoke_test.JobVerdict.RUNNING:
                return smoke_test.StillRunning(facts={"job_name": job.name})
            case smoke_test.JobVerdict.COMPLETED:
                return smoke_test._completed(work, ports, job)
            case _:
                return smoke_test._ended_badly(work, ports, job)

    patches.entry(worker_module.STEPS, worker_module.StepKind.SMOKE_TEST, start)


def overdue_circuits_are_not_driven(patches: Patches) -> None:
    patches.set(Sweeper, "_drive_run", lambda *_args: None)


def overdue_fan_outs_are_not_driven(patches: Patches) -> None:
    patches.set(Sweeper, "_drive_release", lambda *_args: None)


def gates_never_expire(patches: Patches) -> None:
    patches.set(Sweeper, "_look_at_gate", lambda *_args: None)


def interrupted_intakes_stay_so(patches: Patches) -> None:
    patches.set(sweeper_module.Intake, "complete", lambda *_args: None)


def releases_are_forgotten_before_people_are_told(patches: Patches) -> None:
    patches.set(Sweeper, "_finish", lambda self, release, _now: self.ports.releases.finish(release))


def a_sent_notice_is_not_marked(patches: Patches) -> None:
    patches.set(notices, "_write", lambda *_args: None)


def freed_slots_start_nobody(patches: Patches) -> None:
    patches.set(Slots, "_release", lambda *_args: None)


def slots_of_the_dead_wait_for_their_lease(patches: Patches) -> None:
    """What the chaos on the real stack found: five deaths behind a smoke test stop a release for half an hour."""

    def is_abandoned(self: Slots, slot: Any) -> bool:
        return bool(slot.leased_until <= self.ports.clock.now())

    patches.set(Slots, "_is_abandoned", is_abandoned)


DEFECTS = (
    Mutant.of("a redrive keeps its message id", a_redrive_keeps_its_id, "crashing", nets=NO_REDELIVERY),
    Mutant.of("dead letters of the past count", dead_letters_of_the_past_count, "forged"),
    Mutant.of("dead letters are thrown away", dead_letters_are_thrown_away, "dying", nets=NO_SWEEPER),
    Mutant.of("dead letters raise", dead_letters_raise, "losing", "rough"),
    Mutant.of("each look starts a job of its own", each_look_names_a_new_job, "crashing", "losing"),
    Mutant.of("overdue circuits are not driven", overdue_circuits_are_not_driven, "crashing", nets=NO_REDELIVERY),
    Mutant.of("overdue fan-outs are not driven", overdue_fan_outs_are_not_driven, "crashing", nets=NO_REDELIVERY),
    Mutant.of("gates never expire", gates_never_expire, "quiet"),
    Mutant.of("interrupted intakes stay so", interrupted_intakes_stay_so, "crashing", "losing"),
    Mutant.of("releases are forgotten too early", releases_are_forgotten_before_people_are_told, "losing", "rough"),
    Mutant.of("sent notices are not marked", a_sent_notice_is_not_marked, "quiet"),
    Mutant.of("slots are never freed", freed_slots_start_nobody, "quiet"),
    Mutant.of("slots of the dead wait for their lease", slots_of_the_dead_wait_for_their_lease, "crashing"),
)
