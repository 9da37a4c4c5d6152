"""One run: what is released by whom and when, who answers what, and what goes wrong; all of it from the seed."""

import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.application import fanout
from shared.application.ports import Audience, GateClaim, Letter, Naming, Ports
from shared.domain.errors import TransientError
from shared.domain.model import (
    Channel,
    Circuit,
)
from shared.domain.policy import Policy
from shared.domain.rows import RELEASE_KEY, notice_key
from tests.simulation.approvers import APPROVERS, Approvers
from tests.simulation.azure_ml_in_time import SimModels
from tests.simulation.builds import Builds
from tests.simulation.bus import Message, SimBus
from tests.simulation.engine import START, Engine, Violation
from tests.simulation.faults import PROFILES, Faults, Proxy, Weather
from tests.simulation.forger import Forger
from tests.simulation.host import Host
from tests.simulation.invariants.content import Content
from tests.simulation.invariants.invariants import Invariants
from tests.simulation.invariants.listing import Listing
from tests.simulation.invariants.seen import Seen
from tests.simulation.meddlers import Meddlers
from tests.simulation.nets import Nets
from tests.simulation.operators import Operators
from tests.simulation.outside import Outside
from tests.simulation.plan import seeded_plan, seeded_policy
from tests.simulation.refusals import Heard, Refusals
from tests.simulation.result import Result
from tests.simulation.stores_in_steps import SimReleaseStore, SimSlotStore
from tests.simulation.timer import Timer
from tests.support.circuit_world import ESTATE
from tests.support.fakes_state import FakeEndpointStore, FakeEvidenceStore
from tests.support.pipeline_world import signed_tokens

PEOPLE_STOP = timedelta(days=4)
NO_END = timedelta(days=12)
SETTLED_AFTER = timedelta(days=1)
"""Longer than any deadline."""
MOST_STEPS = 60_000
"""A run of the liveliest weather takes a tenth of that; messages that breed messages take more."""


@dataclass
class Inbox:
    """A channel; `arrived` is what its people do when a message comes."""

    arrived: Callable[[Letter], None]
    keys: list[str] = field(default_factory=list)
    unreachable: frozenset[str] = frozenset()
    """Whose mailbox never takes anything."""
    known_by: Callable[[Letter], str] = lambda letter: f"{letter.notice.release_id} {notice_key(letter.notice)}"
    """What makes two of them the same message."""

    def deliver(self, letter: Letter) -> None:
        if letter.notice.recipient in self.unreachable:
            raise TransientError(f"{letter.notice.recipient}: 421 try again later")
        self.keys.append(self.known_by(letter))
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
        self.host, self.timer = Host(self), Timer(self)
        self.builds, self.approvers = Builds(self), Approvers(self)
        self.operators, self.forger = Operators(self), Forger(self)
        self.meddlers = Meddlers(self)
        chance, seeded = self.engine.chance, self.engine.random
        self.profile, self.was_chosen = profile or seeded.choice([*PROFILES, "rough", "rough"]), bool(profile)
        self.weather = Weather(
            engine=self.engine,
            faults=PROFILES[self.profile],
            until=START + self.people_stop,
            refusals=Refusals(random.Random(f"refusals {seed}")),  # noqa: S311  # schedules, not secrets
            only_messages=nets is Nets.NO_SWEEPER,
        )
        self.releases, self.endpoints, self.slots = SimReleaseStore(), FakeEndpointStore(), SimSlotStore()
        self.releases.weather, self.releases.listed_one = self.weather, self.timer.state_changed
        self.slots.weather = self.weather
        self.evidence = FakeEvidenceStore()
        self.models = SimModels(self.engine, self.weather, honours_names=not chance(0.15))
        self.bus = SimBus(engine=self.engine, weather=self.weather, redelivers=nets is not Nets.NO_REDELIVERY)
        self.bus.handle, self.bus.bury = self.host.handle, self.host.bury
        self.bus.window = seeded.choice([timedelta(minutes=5), timedelta(days=60)])
        self.hasty = chance(0.35)
        """Builds and answers follow each other within minutes: releases overlap at every stage."""
        self.page = seeded.choice([2, 2, 3, 100])
        self.inbox, self.channel = Inbox(self.approvers.mail_arrived), Inbox(lambda _letter: None)
        self.outside = Outside(self, random.Random(f"outside {seed}"))  # noqa: S311  # schedules, not secrets
        self.watch = Invariants(
            Seen(
                engine=self.engine,
                releases=self.releases,
                endpoints=self.endpoints,
                slots=self.slots,
                models=self.models,
                changed=self.timer.state_changed,
                going_live=self._goes_live,
                stands=self._stands,
            ),
            self.evidence,
            ESTATE,
        )
        self.bus.hindered = self._hindered
        self.policy = policy or seeded_policy(self.engine)
        self.ports = self._ports()
        self.plan: Callable[[], None] = lambda: seeded_plan(self)

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
            notifiers={Channel.EMAIL: port(self.inbox, "mail"), Channel.TEAMS: port(self.channel, "teams")},
            tokens=signed_tokens(),
            clock=self.engine,
            audience=Audience(approvers=APPROVERS, operators=("ops@example.com",), teams=True),
            naming=Naming(),
            policy=self.policy,
            estate=ESTATE,
        )

    def _hindered(self, message: Message) -> None:
        """Of what nobody of ours has sent, or nobody can read, nothing else has to wait."""
        command = self.host.read(message)
        if command is not None and not message.is_forged:
            self.watch.limits.hindered(command)

    def _stands(self, circuit: Circuit) -> None:
        self.outside.stands(circuit)
        self.operators.hold_sometimes(circuit)

    def run(self) -> Result:
        """To the end, or to the first violation."""
        random.seed(self.seed)  # the jitter of `settle`
        violation, page = "", fanout.PAGE
        fanout.PAGE = self.page  # so that a few circuits are several pages
        heard = Heard()
        self.releases.written = [Content(self.watch.seen).written]
        if self.weather.faults.refusing:
            self.releases.written.append(heard.hear)
        try:
            with heard.listening(logging.DEBUG if self.weather.faults.refusing else logging.CRITICAL):
                self._to_its_end()
            self._at_rest()
            self._all_told(heard)
        except Violation as found:
            violation = str(found)
        finally:
            self.engine.abandon()
            fanout.PAGE = page
        return self._result(violation)

    def _to_its_end(self) -> None:
        self.plan()
        self._run()
        if self.nets is not Nets.NO_SWEEPER:
            self.outside.look()
            self._run()

    def _at_rest(self) -> None:
        quiet = self.weather.faults == Faults() and not self.weather.crash_after_effect
        self.watch.rest.at_rest(live=self.nets is not Nets.NO_SWEEPER, quiet=quiet)
        Listing(self.watch.seen).at_rest()
        if quiet:
            self._told_once()
        if self.nets is Nets.NO_SWEEPER:
            self.watch.driven.all_driven(
                [command for command in map(self.host.read, self.bus.waiting.values()) if command]
            )

    def _told_once(self) -> None:
        """With nothing in the way each message to a person goes out once; else a second one has the same Message-ID."""
        sent = Counter(self.inbox.keys) + Counter(f"{key} (Teams)" for key in self.channel.keys)
        if twice := [key for key, times in sent.items() if times > 1]:
            raise Violation(f"mail: {twice[0]} went out {sent[twice[0]]} times")

    def _all_told(self, heard: Heard) -> None:
        """Nothing that was refused is lost in silence."""
        if silent := heard.missed(self.weather.refusals, self.engine.trace):
            raise Violation(f"known failure 2: nobody is told of {len(silent)} refusals: {', '.join(silent[:5])}")

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
            excused=tuple(self.watch.rest.excused.elements()),
            promoted=frozenset(self.models._registry),
            deployments=frozenset(f"{env} {name} {d}" for (env, name), held in endpoints for d in held.deployments),
            defaults=frozenset(
                f"{env} {name} {held.default if held.next_default is None else held.next_default}"
                for (env, name), held in endpoints
            ),
            jobs=frozenset(self.models._jobs),
            mails=tuple(self.inbox.keys),
        )

    def _goes_live(self, circuit: Circuit) -> None:
        self.operators.roll_back_at_once(circuit)
        self.weather.refusals.strike_soon(self.engine.now())

    def waits(self, script: str, claim: GateClaim) -> timedelta | None:
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

    def script(self) -> str:
        return self.engine.random.choices(
            ["approve", "reject", "never", "late", "edge", "last minute", "exclude", "wrong code", "slow reader"],
            [68, 4, 3, 2, 2, 2, 6, 5, 8],
        )[0]

    def starts_by_hand(self) -> bool:
        """Now and then somebody posts the artifact instead."""
        return self.engine.chance(0.2)


def simulate(seed: int, *, nets: Nets = Nets.ALL, profile: str = "") -> Result:
    return Universe(seed, nets=nets, profile=profile).run()


__all__ = ["Nets", "Result", "Universe", "simulate"]
