"""One run: what is released by whom and when, who answers what, and what goes wrong; all of it from the seed."""

import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.application import fanout
from shared.application.control import Control
from shared.application.dead_letters import DeadLetters
from shared.application.dispatcher import is_current
from shared.application.drift import Drift
from shared.application.gates import Answer, Gates, Verdict
from shared.application.holds import Holds
from shared.application.intake import Intake
from shared.application.messages import parse_message, to_json
from shared.application.operations import Operations
from shared.application.ports import ActiveRelease, Audience, GateClaim, Letter, Naming, Ports, Sendable
from shared.application.rollbacks import RollbackRequest, Rollbacks
from shared.application.sweeper import Sweeper
from shared.application.worker import Worker
from shared.domain.commands import RunStep
from shared.domain.errors import ConflictError, PermanentError, RequestRefused, TransientError
from shared.domain.model import (
    Channel,
    Circuit,
    CircuitRun,
    Environment,
    Gate,
    GateName,
    GateState,
    Moment,
    Notice,
    NoticeState,
    Release,
    ReleasePhase,
)
from shared.domain.naming import deployment_tags, endpoint_name, endpoint_tags, model_name
from shared.domain.policy import Policy
from shared.domain.process import GATE_OF, ROUND_OF
from shared.domain.rows import RELEASE_KEY, notice_key, run_key
from tests.simulation.azure_ml_in_time import SimModels
from tests.simulation.bus import Message, SimBus
from tests.simulation.engine import START, Crash, Engine, Task, Violation
from tests.simulation.faults import PROFILES, Faults, Proxy, Weather
from tests.simulation.invariants import MEDDLED, Invariants
from tests.simulation.outside import Outside
from tests.support.circuit_world import ESTATE
from tests.support.fakes_state import FakeEndpointStore, FakeEvidenceStore, FakeReleaseStore, FakeSlotStore
from tests.support.pipeline_world import artifact, artifact_path, dev_tags, signed_tokens
from tests.support.poison import NOISE, broken

CIRCUITS = tuple(
    Circuit(plant_id=plant, circuit_id=circuit)
    for plant, circuit in (
        ("PLANT001", "CIRCUIT01"),
        ("PLANT001", "CIRCUIT02"),
        ("PLANT002", "CIRCUIT01"),
        ("P3", "C1"),
    )
)
APPROVERS = ("ann@example.com", "bob@example.com")
TICK = timedelta(minutes=1)
PEOPLE_STOP = timedelta(days=4)
NO_END = timedelta(days=12)
SETTLED_AFTER = timedelta(days=1)
"""Longer than any deadline."""
MOST_STEPS = 60_000
"""A run of the liveliest weather takes a tenth of that; messages that breed messages take more."""


class Nets(StrEnum):
    """Which safety nets are up."""

    ALL = "all"
    NO_SWEEPER = "no-sweeper"
    NO_REDELIVERY = "no-redelivery"


class SimReleaseStore(FakeReleaseStore):
    """`begin` is three writes, and a process may die between them."""

    weather: Weather
    listed_one: Callable[[], None]

    def begin(self, release: Release) -> None:
        new = release.release_id not in self.listed and RELEASE_KEY not in self.rows[release.release_id]
        if new:
            self.listed[release.release_id] = ActiveRelease(
                release_id=release.release_id,
                artifact_path=release.artifact_path,
                manifest_blob=release.manifest_blob,
                manifest_sha256=release.manifest_sha256,
                build_id=release.build_id,
                gen=release.gen,
            )
            self.listed_one()
            self.weather.before("releases", "begin")
        super().begin(release)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended."""

    seed: int
    profile: str
    was_chosen: bool
    """The profile was asked for; otherwise the seed chose it."""
    nets: Nets
    violation: str
    trace: tuple[str, ...]
    phases: tuple[str, ...]
    effects: int
    steps: int
    dead_letters: int
    exempted: int
    promoted: frozenset[tuple[str, str]] = frozenset()
    deployments: frozenset[str] = frozenset()
    defaults: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    mails: tuple[str, ...] = ()

    def told(self, lines: int = 60) -> str:
        """For people: the seed, how to replay it, and the end of the schedule."""
        head = f"seed {self.seed} ({self.profile}, nets: {self.nets}): {self.violation or 'ok'}"
        profile = f" --profile {self.profile}" if self.was_chosen else ""
        again = f"replay: .venv/bin/python -m tests.simulation --seed {self.seed} --nets {self.nets}{profile} --trace"
        return "\n".join([head, again, *(f"  {line}" for line in self.trace[-lines:])])


@dataclass
class Inbox:
    """A channel; `arrived` is what its people do when a message comes."""

    arrived: Callable[[Letter], None]
    keys: list[str] = field(default_factory=list)

    def deliver(self, letter: Letter) -> None:
        self.keys.append(f"{letter.notice.release_id} {notice_key(letter.notice)}")
        self.arrived(letter)


class Universe:
    """Everything of one run."""

    people_stop = PEOPLE_STOP
    """After that nothing goes wrong any more, and nobody asks for anything."""
    no_end = NO_END
    most_steps = MOST_STEPS
    meddling = 0.08
    """How often somebody changes a model while a gate asks about it."""

    def __init__(self, seed: int, *, nets: Nets = Nets.ALL, profile: str = "", policy: Policy | None = None) -> None:
        self.seed, self.nets = seed, nets
        self.engine = Engine(seed)
        chance, seeded = self.engine.chance, self.engine.random
        self.profile, self.was_chosen = profile or seeded.choice([*PROFILES, "rough", "rough"]), bool(profile)
        self.weather = Weather(
            engine=self.engine,
            faults=PROFILES[self.profile],
            until=START + self.people_stop,
            only_messages=nets is Nets.NO_SWEEPER,
        )
        self.releases, self.endpoints, self.slots = SimReleaseStore(), FakeEndpointStore(), FakeSlotStore()
        self.releases.weather, self.releases.listed_one = self.weather, self._state_changed
        self.evidence = FakeEvidenceStore()
        self.models = SimModels(self.engine, self.weather, honours_names=not chance(0.15))
        self.bus = SimBus(engine=self.engine, weather=self.weather, redelivers=nets is not Nets.NO_REDELIVERY)
        self.bus.handle, self.bus.bury = self._handle, self._bury
        self.bus.window = seeded.choice([timedelta(minutes=5), timedelta(days=60)])
        self.hasty = chance(0.35)
        """Builds and answers follow each other within minutes: releases overlap at every stage."""
        self.page = seeded.choice([2, 2, 3, 100])
        self.inbox, self.channel = Inbox(self._mail_arrived), Inbox(lambda _letter: None)
        self.outside = Outside(self, random.Random(f"outside {seed}"))  # noqa: S311  # schedules, not secrets
        self.watch = Invariants(
            engine=self.engine,
            releases=self.releases,
            endpoints=self.endpoints,
            slots=self.slots,
            models=self.models,
            changed=self._state_changed,
            going_live=self._roll_back_at_once,
            stands=self.outside.stands,
        )
        quorum = 2 if not policy and chance(0.1) else 1
        self.policy = policy or Policy(min_approvers=quorum, smoke_slots=seeded.choice([1, 2, 5]))
        self.ports = self._ports()
        self._sweep_token = 0
        self._sweep_at: datetime | None = None
        self.scripts: dict[tuple[str, str], str] = {}
        self.plan: Callable[[], None] = self._seeded_plan

    def _ports(self) -> Ports:
        def port(inner: Any, service: str) -> Any:
            return Proxy(inner, service, self.weather, self.watch)

        return Ports(
            releases=port(self.releases, "releases"),
            endpoints=port(self.endpoints, "endpoints"),
            slots=port(self.slots, "slots"),
            evidence=port(self.evidence, "evidence"),
            bus=port(self.bus, "bus"),
            models=port(self.models, "models"),
            notifiers={Channel.EMAIL: port(self.inbox, "mail"), Channel.TEAMS: port(self.channel, "mail")},
            tokens=signed_tokens(),
            clock=self.engine,
            audience=Audience(approvers=APPROVERS, operators=("ops@example.com",), teams=True),
            naming=Naming(),
            policy=self.policy,
            estate=ESTATE,
        )

    # ------------------------------------------------------------------------------------------------ run

    def run(self) -> Result:
        """To the end, or to the first violation."""
        logging.disable(logging.CRITICAL)
        violation, page = "", fanout.PAGE
        fanout.PAGE = self.page  # so that a few circuits are several pages
        try:
            self.plan()
            self._run()
            if self.nets is not Nets.NO_SWEEPER:
                self.outside.look()
                self._run()
            quiet = self.weather.faults == Faults() and not self.weather.crash_after_effect
            self.watch.at_rest(live=self.nets is not Nets.NO_SWEEPER, quiet=quiet)
            if self.nets is Nets.NO_SWEEPER:
                self.watch.all_driven([command for command in map(self._read, self.bus.waiting.values()) if command])
        except Violation as found:
            violation = str(found)
        finally:
            self.engine.abandon()
            logging.disable(logging.NOTSET)
            fanout.PAGE = page
        return self._result(violation)

    def _run(self) -> None:
        engine = self.engine
        while engine.step():
            if engine.steps > self.most_steps:
                raise Violation(f"no end after {self.most_steps} steps: {len(self.bus.waiting)} messages wait")
            if self.nets is Nets.NO_SWEEPER and engine.now() > START + self.people_stop + SETTLED_AFTER:
                return  # a newer release may wait for ever for an older one whose gate nobody closes
            if engine.now() > START + self.no_end:
                raise Violation(f"I8: no rest after {self.no_end.days} days: {self._unended()}")

    def _unended(self) -> str:
        rows = [(r, s[RELEASE_KEY].row.phase) for r, s in self.releases.rows.items() if RELEASE_KEY in s]
        return f"{rows}, active {sorted(self.releases.listed)}, {len(self.bus.waiting)} messages wait"

    def _result(self, violation: str) -> Result:
        ended = [
            f"{release_id} {rows[RELEASE_KEY].row.phase}"
            for release_id, rows in sorted(self.releases.rows.items())
            if RELEASE_KEY in rows
        ]
        endpoints = self.models._endpoints.items()
        return Result(
            seed=self.seed,
            profile=self.profile,
            was_chosen=self.was_chosen,
            nets=self.nets,
            violation=violation,
            trace=tuple(self.engine.trace),
            phases=tuple(ended),
            effects=self.weather.effects,
            steps=self.engine.steps,
            dead_letters=self.bus.dead,
            exempted=self.watch.exempted,
            promoted=frozenset(self.models._registry),
            deployments=frozenset(f"{env} {name} {d}" for (env, name), held in endpoints for d in held.deployments),
            defaults=frozenset(
                f"{env} {name} {held.default if held.next_default is None else held.next_default}"
                for (env, name), held in endpoints
            ),
            jobs=frozenset(self.models._jobs),
            mails=tuple(self.inbox.keys),
        )

    # ------------------------------------------------------------------------------------------- the host

    def _handle(self, message: Message) -> None:
        self._note_if_past(message)
        try:
            command = parse_message(message.body)
            redelivered = message.deliveries > 1
            if isinstance(command, RunStep):
                Worker(self.ports).handle(command, redelivered=redelivered)
            else:
                Control(self.ports).handle(command, redelivered=redelivered)
        except (TransientError, ConflictError):
            raise
        except Exception as error:
            if not message.is_forged:
                raise Violation(f"a handler raised {type(error).__name__}: {error}") from error
            raise

    def _note_if_past(self, message: Message) -> None:
        """A message about a state that is over must leave its circuit alone."""
        command, row = self._row_of(message)
        if self.engine.current and command and row and not is_current(command, row):
            self.engine.current.past = (command.release_id, command.circuit)

    def _bury(self, message: Message) -> None:
        self._note_if_past(message)
        command, before = self._row_of(message)
        try:
            DeadLetters(self.ports).handle(message.body, message.reason)
            if command is not None and before is not None:
                self._buried(command, before)
        except (TransientError, ConflictError):
            raise
        except Exception as error:
            raise Violation(f"a dead letter raised {type(error).__name__}: {error}") from error

    @staticmethod
    def _read(message: Message) -> Sendable | None:
        try:
            return parse_message(message.body)
        except PermanentError:
            return None

    def _row_of(self, message: Message) -> tuple[RunStep | None, CircuitRun | None]:
        command = self._read(message)
        if not isinstance(command, RunStep):
            return None, None
        stored = self.releases.rows[command.release_id].get(run_key(command.circuit))
        return command, stored.row if stored else None

    def _buried(self, command: RunStep, before: CircuitRun) -> None:
        """I10: a dead letter is a failure of what it spoke of. That one of the past is none is seen at each write."""
        _, now = self._row_of(Message(name="", body=to_json(command).encode(), born=START))
        assert now is not None
        untouched = (now.phase, now.gen, now.poll_n, now.error) == (
            before.phase,
            before.gen,
            before.poll_n,
            before.error,
        )
        if untouched and is_current(command, before) and not self._comes_again(command):
            raise Violation(f"I10: the dead letter of {command.circuit} {command.phase} changed nothing")

    def _comes_again(self, command: RunStep) -> bool:
        """State was out of reach: the dead letter was sent once more, for later."""
        again = (self._read(message) for message in self.bus.waiting.values())
        return any(
            isinstance(c, RunStep) and c.revived > command.revived and c.circuit == command.circuit for c in again
        )

    def do(self, label: str, work: Callable[[], None], *, tries: int = 1, wait: timedelta = TICK) -> None:
        """A timer or a person does something; what fails is done again, as often as they would."""

        def ended(outcome: BaseException | None) -> None:
            if outcome is None:
                return
            if not isinstance(outcome, Crash | TransientError | ConflictError):
                raise Violation(f"{label} raised {type(outcome).__name__}: {outcome}") from outcome
            self.engine.note(f"{label}: {type(outcome).__name__} {str(outcome)[:100]}")
            if tries > 1:
                self.engine.after(wait, lambda: self.do(label, work, tries=tries - 1, wait=wait))

        self.engine.note(label)
        self.engine.start(self.bus.plan(Task(label=label, work=work, ended=ended)))

    # ------------------------------------------------------------------------------------------- sweeping

    def _state_changed(self) -> None:
        """The sweeper runs every minute; minutes in which it can find nothing are left out."""
        if self.nets is Nets.NO_SWEEPER:
            return
        soon = self._tick_after(self.engine.now())
        if self._sweep_at is None or self._sweep_at > soon:
            self._sweep_on(soon)

    def _sweep_on(self, time: datetime) -> None:
        self._sweep_at = time
        self._sweep_token += 1
        token = self._sweep_token
        self.engine.at(time, lambda: self._sweep(token))

    def _sweep(self, token: int) -> None:
        if token != self._sweep_token:
            return
        self._sweep_at = None
        task = self.bus.plan(Task(label="sweep", work=self._sweep_once, ended=self._swept))
        self.engine.start(task)

    def _sweep_once(self) -> None:
        """What the timer does."""
        try:
            Sweeper(self.ports).sweep()
        finally:
            Drift(self.ports).follow_up()

    def _swept(self, outcome: BaseException | None) -> None:
        if outcome is not None and not isinstance(outcome, Crash | TransientError | ConflictError):
            raise Violation(f"the sweeper raised {type(outcome).__name__}: {outcome}") from outcome
        if outcome is None and not self.weather.is_out("releases"):
            self.watch.swept()
        due = self.engine.now() if outcome is not None else self._next_due()
        if due is None:
            return
        tick = max(self._tick_after(self.engine.now()), self._tick_at_or_after(due))
        if self._sweep_at is None or self._sweep_at > tick:
            self._sweep_on(tick)

    @staticmethod
    def _tick_after(time: datetime) -> datetime:
        return START + TICK * ((time - START) // TICK + 1)

    @staticmethod
    def _tick_at_or_after(time: datetime) -> datetime:
        return START + TICK * -((START - time) // TICK)

    def _next_due(self) -> datetime | None:
        """When a sweep can next find something to do."""
        if any(stored.row.repair_by for stored in self.endpoints.locks.values()):
            return self.engine.now()
        if not self.releases.listed:
            return None  # a slot whose owner died is taken over when its lease has run out
        if self.watch.abandoned_slots():
            return self.engine.now()
        found = [slot.row.leased_until for slot in self.slots.known.values() if slot.row.owner]
        for release_id in self.releases.listed:
            rows = self.releases.rows[release_id]
            if RELEASE_KEY not in rows:
                return self.engine.now()
            found += self._dues(rows[RELEASE_KEY].row, [stored.row for stored in rows.values()])
        return min(found, default=None)

    def _dues(self, release: Release, rows: list[Any]) -> list[datetime]:
        found = [row.due_at for row in rows if isinstance(row, Release | CircuitRun | Notice) and row.due_at]
        if release.phase in GATE_OF:
            gates = [row for row in rows if isinstance(row, Gate) and row.state is GateState.OPEN]
            found += [gate.expires_at for gate in gates]
            found += [gate.refreshed_at + release.policy.gate_refresh for gate in gates]
            found += [self.engine.now() for gate in gates if not gate.reminded and self._reminds(release, gate)]
        pending = any(
            (isinstance(row, Notice) and row.state is NoticeState.PENDING) or (isinstance(row, CircuitRun) and row.todo)
            for row in rows
        )
        if not release.is_terminal or pending:
            return found
        listed = self.releases.listed[release.release_id]
        return [
            *found,
            max(self.engine.now(), listed.listed_at + timedelta(hours=1))
            if listed.gen > release.gen
            else self.engine.now(),
        ]

    def _reminds(self, release: Release, gate: Gate) -> bool:
        return self.engine.now() >= gate.expires_at - release.policy.gate_reminder_before

    # --------------------------------------------------------------------------------------------- people

    def _mail_arrived(self, letter: Letter) -> None:
        notice = letter.notice
        if notice.moment is Moment.DRIFT_FOUND:
            self.outside.told(letter)
        if letter.link is None or notice.moment is not Moment.GATE_OPENED:
            return
        claim = self.ports.tokens.read(letter.link.url.rpartition("/")[2])
        assert claim is not None
        if notice.recipient != APPROVERS[0] and self.policy.min_approvers == 1 and not self.engine.chance(0.1):
            return
        self._meddle_sometimes(claim)
        self._will_answer(claim, letter.link.code)

    def _meddle_sometimes(self, claim: GateClaim) -> None:
        """Somebody changes what is being asked about: before the answer, or just after it."""
        if not self.engine.chance(self.meddling):
            return
        runs = self.releases._of(CircuitRun, claim.release_id)
        circuit = self.engine.random.choice(runs).row.circuit
        meddle = self.retag if claim.gate is GateName.REGISTRY else self.retag_promoted
        self.engine.after(self.engine.seconds(1, 300), lambda: meddle(circuit))

    def _will_answer(self, claim: GateClaim, code: str) -> None:
        """What this person will do about this gate; decided once per opening, whoever asks."""
        script = self.scripts.setdefault(
            (f"{claim.release_id} {claim.gate} {claim.nonce}", claim.recipient), self._script()
        )
        wait = self._waits(script, claim)
        if wait is not None:
            self.engine.after(wait, lambda: self._look(claim, code, script))

    def _waits(self, script: str, claim: GateClaim) -> timedelta | None:
        """How long until this person opens the mail; None: never."""
        del claim
        longest = 120 if self.hasty else self.engine.random.choice([300, 3_600, 20 * 3_600])
        soon = self.engine.seconds(30, longest)
        return {
            "never": None,
            "late": timedelta(hours=24, minutes=1),
            "edge": timedelta(hours=24),
            "last minute": timedelta(hours=23, minutes=58),
        }.get(script, soon)

    def _script(self) -> str:
        return self.engine.random.choices(
            ["approve", "reject", "never", "late", "edge", "last minute", "exclude", "wrong code", "slow reader"],
            [68, 4, 3, 2, 2, 2, 6, 5, 8],
        )[0]

    def _look(self, claim: GateClaim, code: str, script: str) -> None:
        """Open the page, read, then post what was decided on the evidence that was shown."""

        def look() -> None:
            view = Gates(self.ports).view(claim)
            if self.engine.current is not None and self.engine.current.effects:
                raise Violation("I9: looking at a gate wrote something")
            digest = view.gate.digest if view.gate else ""
            wait = self.engine.seconds(600, 7_200) if script == "slow reader" else self.engine.seconds(1, 60)
            self.engine.after(wait, lambda: self._post(claim, code, script, digest))

        self.do(f"{claim.recipient} looks at {claim.gate} of {claim.release_id}", look, tries=5)

    def _post(self, claim: GateClaim, code: str, script: str, digest: str) -> None:
        exclude = {}
        if script == "exclude":
            runs = self.releases._of(CircuitRun, claim.release_id)
            exclude = {str(runs[0].row.circuit): "left out by script"} if len(runs) > 1 else {}
        answer = Answer(
            decision="reject" if script == "reject" else "approve",
            comment="no" if script == "reject" else "",
            digest=digest,
            code="wrong" if script == "wrong code" else code,
            exclude=exclude,
        )

        def post() -> None:
            outcome = Gates(self.ports).decide(
                claim, answer, by=claim.recipient, how=f"by the link sent to {claim.recipient}", needs_code=True
            )
            self.engine.note(f"{claim.gate} of {claim.release_id}: {outcome.verdict} {outcome.message}")
            counted = outcome.verdict in {Verdict.APPROVED, Verdict.COUNTED}
            if counted and outcome.view.gate and outcome.view.gate.digest != digest:
                raise Violation(
                    f"known failure 10: {claim.gate} of {claim.release_id} took an answer on other evidence"
                )
            if outcome.verdict in {Verdict.WRONG_CODE, Verdict.CHANGED}:
                self.engine.after(self.engine.seconds(5, 60), lambda: self._look(claim, code, "approve"))

        self.do(f"{claim.recipient} answers {claim.gate} of {claim.release_id} ({script})", post, tries=5)

    # --------------------------------------------------------------------------------------------- builds

    def upload(
        self, release_id: str, circuits: tuple[Circuit, ...], *, number: int, broken: tuple[Circuit, ...] = ()
    ) -> None:
        """A training build ends: models in Dev, the artifact in the container, an event that may be lost."""
        cutoff = f"2025-11-{number + 1:02d}"
        for circuit in circuits:
            tags = dict(dev_tags(circuit, cutoff=cutoff, build=str(number)))
            if circuit in broken:
                tags["validated"] = "True"
            self.models.add_smoke_input(circuit)
            self.models.add_dev_model(model_name(circuit), f"{number}-{cutoff}", tags)
        if self._starts_by_hand():
            self._start_by_hand(release_id, circuits, number=number, cutoff=cutoff)
            return
        content = artifact(circuits, cutoff=cutoff)
        path = artifact_path(release_id, str(number))
        self.evidence.upload(path, content, at=self.engine.now())
        self.engine.note(f"upload {release_id}: {', '.join(map(str, circuits))}")
        if not (self.weather.is_bad() and self.engine.chance(self.weather.faults.lost_event)):
            self.do(f"event {release_id}", lambda: self._took(Intake(self.ports).from_artifact(path, content)), tries=3)
        for minutes in (10, 20, 30, 60 * 100):
            self.engine.after(timedelta(minutes=minutes), lambda: self.do("scan", self._scan))

    def retag(self, circuit: Circuit) -> None:
        """Somebody changes a Dev model's tags, as nobody should after an approval."""
        held = self.models._dev[model_name(circuit)]
        if held:
            version = held[-1].version
            self.engine.note(f"Dev: {version.name} {version.version} gets other tags")
            self.models.change_dev_model(version.name, version.version, tags={**version.tags, MEDDLED: "touched"})

    def retag_promoted(self, circuit: Circuit) -> None:
        """Somebody rewrites the tags of what was promoted, while gate 2 is being asked."""
        mine = [key for key in self.models._registry if key[0] == model_name(circuit)]
        if mine:
            held = self.models._registry[mine[-1]]
            self.engine.note(f"Registry: {mine[-1]} gets other tags")
            held.version = replace(held.version, tags={**held.version.tags, MEDDLED: "touched"})

    def _starts_by_hand(self) -> bool:
        """Now and then somebody posts the artifact instead."""
        return self.engine.chance(0.2)

    def _start_by_hand(self, release_id: str, circuits: tuple[Circuit, ...], *, number: int, cutoff: str) -> None:
        """`POST /api/releases`: nobody asks twice, and no scan finds it."""
        said = json.loads(artifact(circuits, cutoff=cutoff))
        content = json.dumps({"release_id": release_id, "build_id": str(number), **said}).encode()
        self.do(f"start {release_id} by hand", lambda: self._took(Intake(self.ports).from_request(content)))

    def _took(self, _taken: object) -> None:
        return

    def _scan(self) -> None:
        Intake(self.ports).scan(timedelta(days=7))

    def adopt(self, circuit: Circuit) -> None:
        """R59: somebody made this endpoint before us."""
        self.models.add_endpoint(
            Environment.PRODUCTION,
            endpoint_name("be-{plant}-{circuit}", circuit),
            default="deployment-by-hand",
            tags=endpoint_tags(circuit),
            deployment_tags=deployment_tags(
                cutoff_date="2025-10-01", release_id="by hand", deployed_at=START, previous_deployment=""
            ),
        )

    # ----------------------------------------------------------------------------------------------- plan

    def _seeded_plan(self) -> None:
        seeded, chance = self.engine.random, self.engine.chance
        circuits = tuple(seeded.sample(CIRCUITS, seeded.randint(1, len(CIRCUITS))))
        for circuit in circuits:
            if chance(0.3):
                self.adopt(circuit)
        ids = [f"202512{10 + day}.{n}" for day, n in ((0, 1), (0, 2), (1, 1))][: seeded.choice([1, 1, 2, 2, 3])]
        latest = 300 if self.hasty else seeded.choice([60, 6 * 3_600, 40 * 3_600])
        times = [self.engine.seconds(0, latest) for _ in ids]
        if not chance(0.2):
            times.sort()
        for number, (release_id, wait) in enumerate(zip(ids, times, strict=True)):
            mine = tuple(c for c in circuits if chance(0.8)) or circuits[:1]
            broken = tuple(c for c in mine if chance(0.06))
            self._upload_later(wait, release_id, mine, number, broken)
            self._operate(release_id, wait, mine)
        self._roll_back_sometimes(circuits)
        self.outside.plan(circuits)
        self._forge_sometimes(ids, circuits)
        self._outages()

    def _upload_later(
        self, wait: timedelta, release_id: str, mine: tuple[Circuit, ...], number: int, broken: tuple[Circuit, ...]
    ) -> None:
        self.engine.after(wait, lambda: self.upload(release_id, mine, number=number, broken=broken))

    def _operate(self, release_id: str, wait: timedelta, circuits: tuple[Circuit, ...]) -> None:
        """An operator watches it, sometimes cancels, often retries what failed."""
        if self.engine.chance(0.1):
            later = wait + self.engine.seconds(1, self.engine.random.choice([600, 7_200, 100_000]))
            self.engine.after(later, lambda: self._ask(release_id, "cancel"))
        for _ in range(self.engine.random.choice([0, 1, 1, 2, 3])):
            later = wait + self.engine.seconds(60, self.engine.random.choice([7_200, 86_400, 300_000]))
            leave_out = {str(self.engine.random.choice(circuits)): "by the operator"} if self.engine.chance(0.4) else {}
            self._retry_later(release_id, later, leave_out)

    def _retry_later(self, release_id: str, later: timedelta, leave_out: dict[str, str]) -> None:
        self.engine.after(later, lambda: self._ask(release_id, "retry", leave_out))

    def _ask(self, release_id: str, what: str, leave_out: dict[str, str] | None = None) -> None:
        def ask() -> None:
            operations = Operations(self.ports)
            try:
                if what == "cancel":
                    operations.cancel(release_id, by="ops", reason="by script")
                else:
                    operations.retry(release_id, by="ops", reason="by script", exclude=leave_out or {})
            except RequestRefused as refused:
                self.engine.note(f"refused: {refused.detail}")

        self.do(f"operator asks to {what} {release_id} {leave_out or ''}", ask, tries=2)

    def _roll_back_sometimes(self, circuits: tuple[Circuit, ...]) -> None:
        seeded = self.engine.random
        for _ in range(seeded.choice([0, 0, 1, 1, 2, 3])):
            longest = 4_000 if self.hasty else seeded.choice([10_000, 90_000, 300_000])
            wait = self.engine.seconds(60, longest)
            chosen = tuple(seeded.sample(circuits, seeded.randint(1, len(circuits))))
            request = RollbackRequest(
                requested_by="ops", reason="bad predictions", circuits=chosen, smoke_test=seeded.random() < 0.4
            )
            match seeded.randint(0, 5):
                case 0:
                    request = replace(request, circuits=(), plant_id="PLANT001")
                case 1:
                    request = replace(request, circuits=(), release_id="20251210.1")
                case 2:
                    request = replace(request, environment=Environment.TEST)
                case _:
                    pass
            self._roll_back_later(wait, request)
            if self.engine.chance(0.4):
                self._roll_back_later(wait + self.engine.seconds(0, 900), request)
            if self.engine.chance(0.4):
                self._compete(wait + self.engine.seconds(0, seeded.choice([3, 60, 900])), request, chosen[0])
            if self.engine.chance(0.5):
                self._lift_later(wait + self.engine.seconds(60, 7_200), chosen[0])

    def _roll_back_at_once(self, circuit: Circuit) -> None:
        """Somebody sees the first bad prediction at once."""
        if self.hasty and self.weather.is_bad() and self.engine.chance(0.2):
            request = RollbackRequest(requested_by="ops", reason="at once", circuits=(circuit,))
            wait = self.engine.seconds(1, self.engine.random.choice([15, 200]))
            self._roll_back_later(wait, request)
            if self.engine.chance(0.3):
                self._compete(wait + self.engine.seconds(0, 30), request, circuit)

    def _compete(self, wait: timedelta, request: RollbackRequest, circuit: Circuit) -> None:
        """A second person, or a change of mind: by another way, to a named deployment, or from what is seen."""

        def ask() -> None:
            self._roll_back_later(timedelta(), self._otherwise(request, circuit))

        self.engine.after(wait, ask)

    def _otherwise(self, request: RollbackRequest, circuit: Circuit) -> RollbackRequest:
        """As the endpoint stands when it is asked; what is `seen` may be old, or have been gone back from since."""
        place, seeded = (request.environment, circuit), self.engine.random
        ledger = sorted(self.endpoints.ledgers.get(place, []), key=lambda row: -row.fence)
        names = sorted({row.deployment for row in ledger if row.deployment})
        alone = replace(request, circuits=(circuit,), plant_id="", release_id="", reason="otherwise")
        if not names:
            return alone
        match seeded.choice(["to", "to", "from", "from", "to from", "only", "only from"]):
            case "to":
                return replace(alone, to=seeded.choice(names))
            case "from":
                return replace(alone, seen={circuit: seeded.choice([ledger[0].deployment, seeded.choice(names)])})
            case "to from":
                return replace(alone, to=seeded.choice(names), seen={circuit: ledger[0].deployment})
            case "only":
                return replace(alone, circuits=(), plant_id=circuit.plant_id, only=(circuit,))
            case _:
                maker = seeded.choice([row.release_id for row in ledger])
                of_release = replace(alone, circuits=(), release_id=maker, only=(circuit,))
                return replace(of_release, seen={circuit: seeded.choice(names)})

    def _roll_back_later(self, wait: timedelta, request: RollbackRequest) -> None:
        def ask() -> None:
            try:
                started = Rollbacks(self.ports).request(request)
                self.engine.note(f"{started.rollback_id} {'new' if started.is_new else 'known'} {started.notes}")
            except RequestRefused as refused:
                self.engine.note(f"refused: {refused.detail}")

        self.engine.after(wait, lambda: self.do("operator rolls back", ask, tries=3))

    def _lift_later(self, wait: timedelta, circuit: Circuit) -> None:
        def ask() -> None:
            try:
                Holds(self.ports).lift(circuit, by="ops", why="by script")
            except RequestRefused as refused:
                self.engine.note(f"refused: {refused.detail}")

        self.engine.after(wait, lambda: self.do(f"operator lifts the hold of {circuit}", ask, tries=3))

    def _forge_sometimes(self, ids: list[str], circuits: tuple[Circuit, ...]) -> None:
        for _ in range(self.weather.faults.forged):
            self.engine.after(self.engine.seconds(60, 200_000), lambda: self._forge(ids, circuits))

    def _forge(self, ids: list[str], circuits: tuple[Circuit, ...]) -> None:
        """A message of the past once more, with other numbers, broken, or one that nobody of ours has sent."""
        seeded = self.engine.random
        if not self.bus.history or seeded.random() < 0.15:
            self._slip_in("noise", seeded.choice(NOISE))
            return
        body = seeded.choice(self.bus.history)
        match seeded.choice(["again", "again", "given up", "numbers", "generation", "broken"]):
            case "again":
                self._slip_in("stale", body)
            case "given up":
                self._slip_in("stale", body, dead=True)
            case "numbers":
                fields = json.loads(body)
                changed = {"gen": seeded.randint(1, 3), "n": seeded.randint(0, 3), "kind": seeded.choice(KINDS)}
                self._slip_in("numbers", json.dumps({**fields, **{k: v for k, v in changed.items() if k in fields}}))
            case "generation":
                fields = json.loads(self.bus.history[-1])
                self._slip_in("of another generation", json.dumps({**fields, "gen": seeded.randint(1, 3)}))
            case _:
                what, broken_body = seeded.choice(list(broken(parse_message(body))))
                self._slip_in(what, broken_body)

    def _slip_in(self, what: str, body: bytes | str, *, dead: bool = False) -> None:
        body = body.encode() if isinstance(body, str) else body
        reason = "somebody moved it here" if dead else ""
        message = Message(
            name=f"forged {what}", body=body, born=self.engine.now(), dead=dead, reason=reason, is_forged=True
        )
        self.bus.put(message, timedelta())

    def _outages(self) -> None:
        for _ in range(self.weather.faults.outages):
            start = START + self.engine.seconds(10, 200_000)
            services = self.engine.random.choice(
                [
                    ["releases", "endpoints", "slots"],
                    ["bus"],
                    ["models"],
                    ["mail"],
                    ["releases", "endpoints", "slots", "bus"],
                ]
            )
            length = self.engine.seconds(1_200, 4_000) if self.engine.chance(0.1) else self.engine.seconds(20, 120)
            self.weather.outages += [(service, start, start + length) for service in services]


KINDS = ["inspect", "promote", "deploy", "smoke-test", "activate", "restore"]


def simulate(seed: int, *, nets: Nets = Nets.ALL, profile: str = "") -> Result:
    return Universe(seed, nets=nets, profile=profile).run()


__all__ = ["ROUND_OF", "Nets", "PermanentError", "ReleasePhase", "Result", "Universe", "simulate"]
