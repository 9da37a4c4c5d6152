"""Unit: a gate of two hundred circuits is a page for a phone, and nothing of its evidence is cut in silence."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from shared.application.metrics import compare_metrics
from shared.domain.model import CircuitRun, GateDecision, GateName
from shared.pages import render_approval, render_approval_circuit
from shared.pages.circuit_facts import CircuitEntry, Fact, circuit_entries
from shared.pages.circuit_lines import LEAST, circuit_lines, weight
from tests.support.outline import Outline, text_of
from tests.support.release_samples import NOW, a_gate
from tests.support.sample_pages import an_approval, many_runs

LIMIT = 150_000


def troubled(count: int, gate: GateName, reasons: int = 1, length: int = 60) -> tuple[CircuitRun, ...]:
    """Every circuit has so many reasons to look at, and all that a test and a comparison can leave."""
    beside = {
        "deployment": "deployment-20251203-5",
        "told": "12 of 168 rows differ, by 0.3 on average",
    }
    return tuple(
        replace(
            run,
            warnings=tuple(f"reason {number} of {run.circuit} {'x' * length}" for number in range(reasons)),
            evidence={**run.evidence, "side_by_side": beside, "expected": {"told": "as expected, 168 rows"}},
        )
        for run in many_runs(count, count, gate)
    )


def rows(html: str) -> Mapping[str, str]:
    """Name of a circuit -> its line as a person reads it."""
    found = (text_of(row) for row in re.findall(r'<tr><th scope="row">(?=PLANT).*?</tr>', html, re.DOTALL))
    return {row.split()[0]: row for row in found}


def hidden(row: str) -> int:
    found = re.search(r" (\d+) more ", row)
    return int(found[1]) if found else 0


def everything(entry: CircuitEntry) -> Sequence[str]:
    """What the card of a circuit says beside versions, dates and deployments, as a line has it."""
    facts = [fact for fact in entry.details if fact.name != "Endpoint"]  # which has a cell of its own
    return [
        *entry.attention,
        *(f"{fact.name}: {'✓ ' if fact.good else ''}{fact.text}" for fact in facts),
        *metrics(entry),
    ]


def metrics(entry: CircuitEntry) -> Sequence[str]:
    return [f"{change.name} {change.live:g} → {change.new:g}, {change.words}" for change in entry.metrics]


def on_a_card(entry: CircuitEntry) -> Sequence[str]:
    """The same as a card has it."""
    facts = [f"{fact.name} {'✓ ' if fact.good else ''}{fact.text}" for fact in entry.details]
    return [*entry.attention, *facts, *(f"{change.name} {change.live:g} {change.new:g}" for change in entry.metrics)]


@pytest.mark.parametrize("gate", list(GateName))
@pytest.mark.parametrize("count", [13, 40, 60])
def test_a_line_says_all_that_a_card_says_while_there_is_room(gate: GateName, count: int) -> None:
    """Issue 6, point 1: reasons whole, queued and running seconds, side by side, what a rollback would go back to."""
    view = an_approval(gate, runs=troubled(count, gate, reasons=5, length=100))
    html = render_approval(view)
    lines = rows(html)
    assert len(lines) == count - 12
    for entry in circuit_entries(view.evidence)[12:]:
        assert [told for told in everything(entry) if told not in lines[entry.name]] == []
    assert " more</a>" not in html
    assert len(html.encode()) < LIMIT


@pytest.mark.parametrize("gate", list(GateName))
@pytest.mark.parametrize(("reasons", "length"), [(1, 60), (6, 300), (40, 30), (2, 4_000)])
def test_two_hundred_circuits_in_trouble_fit_and_what_does_not_is_counted(
    gate: GateName, reasons: int, length: int
) -> None:
    """Whatever a line has no room for is a number in it, which leads to all of it; the page stays below 150 KB."""
    view = an_approval(gate, runs=troubled(200, gate, reasons, length))
    html = render_approval(view)
    assert len(html.encode()) < LIMIT
    page, lines = Outline(html), rows(html)
    shown = re.findall(r"<h3>(PLANT\d+/CIRCUIT\d+)", html)
    assert len(lines) + len(shown) == 200
    for entry in circuit_entries(view.evidence):
        if entry.name in shown:
            assert [told for told in on_a_card(entry) if told not in page.text] == []
            continue
        said = sum(1 for told in everything(entry) if told in lines[entry.name])
        assert said + hidden(lines[entry.name]) == len(everything(entry)), lines[entry.name]
        assert f"?circuit={entry.name.replace('/', '%2F')}" in page.targets() or not hidden(lines[entry.name])
        assert f"reason 0 of {entry.name}" in lines[entry.name]


def test_the_page_of_one_circuit_has_all_of_it_and_leads_back() -> None:
    """However much that is; it has no form: decided is where everything is in sight."""
    view = an_approval(GateName.PRODUCTION, runs=troubled(200, GateName.PRODUCTION, 40, 300))
    entry = circuit_entries(view.evidence)[150]
    html = render_approval_circuit(view, entry.name)
    assert html is not None
    page = Outline(html)
    assert [told for told in on_a_card(entry) if told not in page.text] == []
    assert "?" in page.targets()
    assert "form" not in page.tags
    assert render_approval_circuit(view, "PLANT999/CIRCUIT01") is None


def test_what_a_vote_leaves_out_is_named_beside_the_decision_or_counted_there() -> None:
    """Five by name, more as a number that leads to the list of votes, which has them all."""
    runs = many_runs(40)
    without = {str(run.circuit): f"why {number} of it" for number, run in enumerate(runs[:30])}

    def form(leaves_out: Mapping[str, str]) -> tuple[str, str]:
        vote = GateDecision(
            at=NOW,
            decision="approve",
            by="otto@example.com",
            how="",
            comment="",
            digest=a_gate().digest,
            exclude=leaves_out,
        )
        html = render_approval(an_approval(runs=runs, gate=a_gate(decisions=(vote,))))
        return text_of(html.partition('<form method="post"')[2]), text_of(html)

    few, _ = form(dict(list(without.items())[:5]))
    assert "approves without PLANT000/CIRCUIT00: why 0 of it; PLANT000/CIRCUIT01: why 1 of it" in few
    many, page = form(without)
    assert "approves without 30 circuits: which and why" in many
    assert [why for why in without.values() if why not in page] == []


# --------------------------------------------------------------------------------------- in general

TEXTS = st.text(min_size=1, max_size=200)
ENTRIES = st.lists(
    st.builds(
        lambda reasons, facts, metrics: CircuitEntry(
            name="P/C",
            facts={},
            attention=reasons,
            metrics=compare_metrics(metrics, {}),
            details=[Fact(name="Fact", text=text) for text in facts],
            left_out="",
        ),
        st.lists(TEXTS, max_size=5),
        st.lists(TEXTS, max_size=5),
        st.dictionaries(st.text(max_size=10), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    ),
    max_size=12,
)


@given(entries=ENTRIES, room=st.integers(0, 20_000))
def test_whatever_the_room_lines_are_whole_and_the_rest_is_counted(entries: list[CircuitEntry], room: int) -> None:
    """No more than there is room for, or the beginning of the first reason; nothing is missing where all would fit."""
    lines = circuit_lines(entries, room)
    for entry, line in zip(entries, lines, strict=True):
        whole = [text for text in line.attention if text in entry.attention]
        shown = len(whole) + len(line.metrics) + len(line.details)
        everything_of_it = len(entry.attention) + len(entry.metrics) + len(entry.details)
        assert shown + line.hidden in {everything_of_it, everything_of_it + 1}
        assert list(line.attention[: len(whole)]) == list(entry.attention[: len(whole)])
        assert bool(line.attention) == bool(entry.attention)
    fits = room >= sum(map(weight, entries))
    assert fits <= (sum(line.hidden for line in lines) == 0)
    used = sum(
        sum(len(escape(text).encode()) for text in (*one.attention, *one.metrics, *one.details)) for one in lines
    )
    assert used <= room + len(lines) * LEAST


def test_the_sample_is_what_the_app_freezes() -> None:
    """So that the above is about real evidence: it is made by the same code."""
    assert len(json.dumps(an_approval(runs=many_runs(200)).evidence)) > LIMIT
