"""Defects in what people decide, and in where a rollback leads: each must be caught. Most are a new user's."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from shared.application import gates, rollback_targets, wants
from shared.application.gates import Gates, Standing
from shared.application.steps import activate
from shared.domain import process
from shared.domain.events import GateApproved
from shared.domain.model import ReleasePhase
from tests.simulation.defects import Mutant, Patches
from tests.simulation.defects_in_endpoints import look_newest


def one_approver_is_enough(patches: Patches) -> None:
    patches.set(gates, "approvals_needed", lambda _release: 1)


def a_rejection_counts_as_an_approval(patches: Patches) -> None:
    patches.set(gates, "GateRejected", GateApproved)


def codes_are_not_compared(patches: Patches) -> None:
    patches.set(gates, "hmac", SimpleNamespace(compare_digest=lambda _given, _right: True))


def links_of_earlier_openings_count(patches: Patches) -> None:
    standing = Gates._standing

    def any_link(self: Gates, gate: Any, claim: Any) -> Standing:
        return standing(self, gate, replace(claim, nonce=gate.nonce))

    def with_its_code(given: bytes, _right: bytes) -> bool:
        return given != b"wrong"

    patches.set(Gates, "_standing", any_link)
    patches.set(gates, "hmac", SimpleNamespace(compare_digest=with_its_code))


def who_was_left_out_goes_on(patches: Patches) -> None:
    approve = process._approve

    def all_of_them(release: Any, event: Any) -> Any:
        return approve(release, replace(event, exclusions={}))

    patches.set(process, "_approve", all_of_them)


def a_retry_skips_the_second_gate(patches: Patches) -> None:
    for phase in (ReleasePhase.STAGING_PRODUCTION, ReleasePhase.ACTIVATING, ReleasePhase.REVERTING):
        patches.entry(process.RESUME_AT, phase, ReleasePhase.STAGING_PRODUCTION)


def a_rollback_goes_back_to_the_first(patches: Patches) -> None:
    one_back = rollback_targets._one_back

    def all_the_way(lock: Any, ledger: Any) -> Any:
        way = one_back(lock, ledger)
        return replace(way, to=ledger[-1].previous or ledger[-1].deployment) if way.to else way

    patches.set(rollback_targets, "_one_back", all_the_way)


def older_releases_pass_in_test(patches: Patches) -> None:
    look_newest(patches, wants.want_in_test, used_in=activate, owned_in=wants)


def whoever_is_over_still_wants(patches: Patches) -> None:
    """Nobody looks at his row before he writes the lock: who stood still comes back and takes the endpoint."""
    patches.set(wants, "_is_still_there", lambda *_args: True)


DEFECTS = (
    Mutant.of("one approver is enough", one_approver_is_enough, "quiet", "mild"),
    Mutant.of("a rejection counts as an approval", a_rejection_counts_as_an_approval, "quiet", "mild"),
    Mutant.of("codes are not compared", codes_are_not_compared, "quiet", "mild"),
    Mutant.of("links of earlier openings count", links_of_earlier_openings_count, "quiet", "mild"),
    Mutant.of("who was left out goes on", who_was_left_out_goes_on, "quiet", "mild"),
    Mutant.of("a retry skips the second gate", a_retry_skips_the_second_gate, "azure", "rough"),
    Mutant.of("a rollback goes back to the first", a_rollback_goes_back_to_the_first, "quiet", "mild"),
    Mutant.of("older releases pass in Test", older_releases_pass_in_test, "scattered", "rough"),
    Mutant.of("whoever is over still wants", whoever_is_over_still_wants, "standing", "freezing"),
)
