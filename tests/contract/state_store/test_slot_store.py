"""`SlotStore`: one suite, on the fake and on real Table Storage."""

from dataclasses import replace

import pytest

from shared.application.ports import SlotStore
from shared.domain.errors import ConflictError
from tests.support.builders import NOW


def test_slots_are_made_when_first_asked_for(slots: SlotStore) -> None:
    """All free, numbered from 0; asking again finds the same ones."""
    first = slots.slots(3)
    assert [(stored.row.number, stored.row.owner) for stored in first] == [(0, ""), (1, ""), (2, "")]
    assert slots.slots(3) == first


def test_more_slots_leave_the_taken_ones_taken(slots: SlotStore) -> None:
    """The number is a setting and may grow or shrink."""
    stored = slots.slots(1)[0]
    taken = replace(stored.row, owner="20251210.1|1|PLANT001|CIRCUIT01", leased_until=NOW)
    slots.write_slot(taken, stored.etag)
    assert [stored.row.owner for stored in slots.slots(2)] == [taken.owner, ""]
    assert [stored.row for stored in slots.slots(1)] == [taken]


def test_of_two_takers_one_gets_the_slot(slots: SlotStore) -> None:
    """The second one's ETag is old."""
    stored = slots.slots(1)[0]
    slots.write_slot(replace(stored.row, owner="a"), stored.etag)
    with pytest.raises(ConflictError):
        slots.write_slot(replace(stored.row, owner="b"), stored.etag)
    assert slots.slots(1)[0].row.owner == "a"
