"""What stands on the pages, and what never can."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from shared.application.diagnosis import next_line
from shared.application.evidence import canonical_json
from shared.application.views import ApprovalState, ReleaseQuery, ReleasesView, ReleaseView
from shared.domain.listing import listed_as
from shared.domain.model import Channel, Circuit, GateName, GateState, Moment, Notice, NoticeState, ReleasePhase
from shared.domain.remedy import Remedy
from shared.pages import (
    APPROVAL_STATUS,
    HEADERS,
    STYLESHEET,
    render_approval,
    render_error,
    render_release,
    render_releases,
)
from shared.pages.formats import age, duration, number, time_left
from tests.support.outline import Outline, text_of
from tests.support.release_samples import APPROVER, NOW, a_gate, a_release, a_run, failed_runs, three_runs
from tests.support.sample_pages import DECISION, an_approval, circuit_asked, many_runs, sample_mails, sample_pages

HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}{% raw %}\"'><img src=x onerror=alert(1)>"


def test_the_headers_are_the_ones_that_keep_the_page_to_itself() -> None:
    """No cache, no script, no frame, no foreign form target; our own form still sends its Origin."""
    assert HEADERS["Cache-Control"] == "no-store"
    assert HEADERS["Referrer-Policy"] == "same-origin"
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def test_the_approval_page_says_what_is_decided_and_until_when() -> None:
    """Release, build, requester, commit, problems first, deadline with time left."""
    text = text_of(render_approval(an_approval()))
    for told in ("Registry-Approval", "20251210.1", "12345", "build of main", "4f2d9c1e8a7b", "23 h 57 min left"):
        assert told in text
    assert "1 of 3 circuits to look at" in text
    assert text.index("PLANT002/CIRCUIT01") < text.index("PLANT001/CIRCUIT01 ✓ no problems")


def test_the_approval_page_sets_live_and_new_side_by_side() -> None:
    """Version, cutoff date with its age, metrics with their direction, deployment."""
    text = text_of(render_approval(an_approval()))
    assert "Cutoff date 2025-10-01 70 days old 2025-11-01 39 days old" in text
    assert "rmse 0.4312 0.4127 lower, better" in text
    assert "Deployment deployment-20251203-5 release 20251203.5 deployment-20251210-1" in text
    assert "nothing yet" in text


def test_the_production_gate_shows_each_smoke_test() -> None:
    """R34: job, duration, queued and running, rows; schema findings."""
    text = text_of(render_approval(an_approval(GateName.PRODUCTION)))
    assert "Test inference completed successfully." in text
    assert "Completed in 3 min 41 s, 168 rows (2 min 23 s queued, 1 min 18 s running)" in text
    assert "schema: columns extra: confidence" in text


def test_a_schema_that_fits_says_whose_it_is() -> None:
    """R29: the signature, a file or an example; they promise different things."""
    run = a_run(evidence={"schema": {"missing": [], "extra": [], "changed": [], "source": "expected_columns.json"}})
    assert "Schema ✓ as in expected_columns.json" in text_of(
        render_approval(an_approval(GateName.PRODUCTION, runs=(run,)))
    )


def test_an_output_without_a_header_says_that_names_could_not_be_compared() -> None:
    """R29: "as in training" would promise more than was looked at."""
    run = a_run(evidence={"schema": {"missing": [], "extra": [], "changed": [], "by_place": True}})
    told = "Schema ✓ as in training, by the number of columns and their types; names could not be compared"
    assert told in text_of(render_approval(an_approval(GateName.PRODUCTION, runs=(run,))))


def test_the_form_binds_the_answer_to_the_evidence_and_asks_for_the_code() -> None:
    """Hidden digest and form token; a code field that phones understand; nothing submits itself."""
    page = Outline(render_approval(an_approval()))
    fields = page.fields()
    assert fields["digest"]["value"] == "9b1c" * 16
    assert fields["csrf"]["value"] == "0f" * 32
    assert (fields["code"]["inputmode"], fields["code"]["autocomplete"]) == ("numeric", "one-time-code")
    assert [attrs.get("value") for tag, attrs in page.elements if attrs.get("name") == "decision"] == [
        "approve",
        "reject",
    ]
    assert all("checked" not in attrs for _, attrs in page.elements)


def test_single_circuits_can_be_left_out_with_a_reason() -> None:
    """R58: approve the others; what was filled in stays when the answer was not taken."""
    page = Outline(render_approval(an_approval(exclude={"PLANT002/CIRCUIT01": "sensor <2>"})))
    fields = page.fields()
    assert fields["exclude:PLANT002/CIRCUIT01"]["value"] == "sensor <2>"
    assert "value" not in fields["exclude:PLANT001/CIRCUIT01"]
    alone = Outline(render_approval(an_approval(runs=(a_run(),))))
    assert not [name for name in alone.fields() if name.startswith("exclude:")]


def test_who_is_signed_in_needs_no_code() -> None:
    """Codes belong to personal links."""
    assert "code" not in Outline(render_approval(an_approval(code_needed=False))).fields()


def test_after_a_wrong_code_nobody_types_twice() -> None:
    """Decision and comment stay filled in; the tries left are said."""
    html = render_approval(an_approval(problem="Wrong code.", tries_left=1, decision="reject", comment="Not <yet>"))
    assert "Wrong code. 1 try left." in text_of(html)
    assert [a.get("value") for t, a in Outline(html).elements if "checked" in a] == ["reject"]
    assert "Not &lt;yet&gt;</textarea>" in html


@pytest.mark.parametrize(
    ("state", "told", "status"),
    [
        (ApprovalState.EXPIRED, "Expired: nobody decided before 11 Dec 2025, 15:01 UTC .", 410),
        (ApprovalState.VOID, "No answer is needed any more. The release is cancelled: wrong cutoff date.", 409),
        (ApprovalState.LINK_VOID, "This link is void", 403),
        (ApprovalState.DECIDED, "Already approved by mona@example.com , 10 Dec 2025, 15:04 UTC", 200),
    ],
)
def test_a_gate_that_takes_no_answer_explains_itself(state: ApprovalState, told: str, status: int) -> None:
    """With the evidence still readable, and no form."""
    rows = {ApprovalState.DECIDED: GateState.APPROVED, ApprovalState.VOID: GateState.VOID}
    decisions = () if state is ApprovalState.EXPIRED else (DECISION,)
    gate = a_gate(state=rows.get(state, GateState.OPEN), decisions=decisions)
    release = a_release(phase=ReleasePhase.CANCELLED, reason="wrong cutoff date")
    page = Outline(render_approval(an_approval(state=state, gate=gate, release=release, recipient="otto@example.com")))
    assert told in page.text
    assert "rmse" in page.text
    assert not [tag for tag, _ in page.elements if tag == "form"]
    assert APPROVAL_STATUS[state] == status


def test_who_has_decided_is_told_that_it_is_recorded_and_what_is_left_out() -> None:
    """Not “already approved by” themselves."""
    vote = replace(DECISION, exclude={"PLANT001/CIRCUIT02": "sensor"})
    gate = a_gate(state=GateState.APPROVED, decisions=(vote,))
    page = text_of(render_approval(an_approval(state=ApprovalState.DECIDED, gate=gate)))
    told = page.partition("What it was about")[0]
    assert "Your approval is recorded , 10 Dec 2025, 15:04 UTC" in told
    assert "Left out: PLANT001/CIRCUIT02: sensor." in told
    assert "Already approved" not in page


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (GateState.OPEN, "It was opened again: the newest mail about this release has the link that counts."),
        (GateState.APPROVED, "It was opened again and approved by mona@example.com, 10 Dec 2025, 15:04 UTC"),
        (GateState.EXPIRED, "It was opened again, and expired once more: nobody decided before 11 Dec 2025"),
    ],
)
def test_a_link_of_an_earlier_opening_says_what_became_of_the_gate(state: GateState, told: str) -> None:
    """D10: who finds the older mail first is not told that nobody needs an answer."""
    gate = a_gate(state=state, decisions=(DECISION,) if state is GateState.APPROVED else ())
    text = text_of(render_approval(an_approval(state=ApprovalState.VOID, gate=gate)))
    assert f"This link is from an earlier opening of the gate. {told}" in text
    assert "No answer is needed" not in text


def test_changed_evidence_says_what_changed_and_asks_again() -> None:
    """409: nothing was decided, the form carries the new digest."""
    page = Outline(render_approval(an_approval(state=ApprovalState.CHANGED, changes=("rmse: was 0.4, is 0.5",))))
    assert "Nothing was decided." in page.text
    assert "rmse: was 0.4, is 0.5" in page.text
    assert page.fields()["digest"]["value"] == "9b1c" * 16
    assert APPROVAL_STATUS[ApprovalState.CHANGED] == 409


@pytest.mark.parametrize("gate", list(GateName))
@pytest.mark.parametrize("in_trouble", [3, 200])
def test_two_hundred_circuits_are_a_page_for_a_phone(gate: GateName, in_trouble: int) -> None:
    """Below 150 KB at either gate, even when each has something to look at; trouble first, only the rest is folded."""
    page = render_approval(an_approval(gate, runs=many_runs(200, in_trouble, gate)))
    assert len(page.encode()) < 150_000
    troubled, _, folded = page.partition("<details>")
    assert ("197 circuits, no problems" in folded) == (in_trouble == 3)
    assert troubled.count("three weeks old") == in_trouble
    assert "three weeks old" not in folded


@pytest.mark.parametrize("gate", list(GateName))
def test_a_folded_circuit_still_says_what_is_decided_on(gate: GateName) -> None:
    """What is live and would be with the age of its data, metrics with their direction, validation, the smoke test."""
    folded = render_approval(an_approval(gate, runs=many_runs(200, 3, gate))).partition("197 circuits, no problems")[2]
    row = text_of(folded[folded.index('<tr><th scope="row">') :].partition("</tr>")[0])
    for told in (
        "20251203-5 2025-10-01, 70 days old deployment-20251203-5",
        "20251210-1 2025-11-01, 39 days old deployment-20251210-1 be-plant",
        "rmse 0.4312 → 0.4127, lower, better",
        "Tag validated: ✓ true",
        "Rolls back to: deployment-20251203-5",
    ):
        assert told in row
    smoke = "Smoke test: ✓ Completed in 3 min 41 s, 168 rows (2 min 23 s queued, 1 min 18 s running)"
    assert (smoke in row) == (gate is GateName.PRODUCTION)


def test_every_field_of_an_artifact_is_escaped_everywhere() -> None:
    """Whatever a build, a step or a person writes stays text."""
    run = a_run(
        Circuit(plant_id=HOSTILE, circuit_id=HOSTILE),
        **dict.fromkeys(
            ("cutoff_date", "model_name", "model_version", "endpoint", "deployment", "change_type"), HOSTILE
        ),
        live_deployment=HOSTILE,
        source_version=HOSTILE,
        error=HOSTILE,
        warnings=(HOSTILE,),
        evidence={
            "model": {"version": HOSTILE, "validated": HOSTILE, "studio_url": HOSTILE, "metrics": {HOSTILE: 1.0}},
            "live": dict.fromkeys(("deployment", "model_version", "cutoff_date", "release_id"), HOSTILE),
            "training_warnings": [HOSTILE],
            "smoke": dict.fromkeys(("job_name", "studio_url", "status", "seconds", "rows"), HOSTILE),
            "schema": {"missing": [HOSTILE]},
            "diagnosis": [HOSTILE],
        },
    )
    release = a_release(
        **dict.fromkeys(("build_id", "requested_by", "commit_sha", "artifact_path", "reason"), HOSTILE),
        warnings=(HOSTILE,),
    )
    pages = [
        *(
            render_approval(
                an_approval(gate, runs=(run,), release=release, comment=HOSTILE, problem=HOSTILE, recipient=HOSTILE)
            )
            for gate in GateName
        ),
        render_release(ReleaseView(release=release, runs=(run,), gates=(a_gate(),), summary=HOSTILE, now=NOW)),
        render_releases(
            ReleasesView(
                releases=(listed_as(release),),
                now=NOW,
                asked=ReleaseQuery(circuit=HOSTILE, plant=HOSTILE, since=HOSTILE, until=HOSTILE, requested_by=HOSTILE),
                next_cursor=HOSTILE,
            )
        ),
        render_error(400, HOSTILE, HOSTILE),
    ]
    for page in pages:
        tags = [tag for tag, _ in Outline(page).elements]
        assert "script" not in tags
        assert "img" not in tags
        assert "49" not in text_of(page)
        assert not re.search(r"href=\"(?!/|#|\?|https://)", page)


def test_links_of_the_evidence_lead_to_https_only() -> None:
    """`javascript:` in a studio address stays plain text."""
    run = a_run(evidence={"model": {"studio_url": "javascript:alert(1)"}})
    assert "javascript:" not in render_approval(an_approval(runs=(run,)))


@pytest.mark.parametrize(
    "evidence", [{}, {"circuits": None}, {"circuits": [{}]}, {"circuits": [{"live": 3, "model": []}]}]
)
def test_a_page_with_missing_evidence_still_opens(evidence: Mapping[str, object]) -> None:
    """Older or broken evidence hides nothing else."""
    canonical_json(evidence)
    assert "20251210.1" in text_of(render_approval(an_approval(evidence=evidence)))


def test_a_running_release_refreshes_itself_and_an_ended_one_does_not() -> None:
    """Every fifteen seconds, by meta; pages with forms never do."""
    running = render_release(ReleaseView(release=a_release(), runs=three_runs(), gates=(), summary="", now=NOW))
    ended = a_release(phase=ReleasePhase.FAILED)
    paused = ReleaseView(release=a_release(), runs=(), gates=(), summary="", now=NOW, paused=True)
    assert '<meta http-equiv="refresh" content="15">' in running
    assert "refresh" not in render_release(paused)
    assert "refresh" not in render_release(ReleaseView(release=ended, runs=(), gates=(), summary="", now=NOW))
    assert "refresh" not in render_approval(an_approval())


def test_a_failed_release_shows_reason_diagnosis_and_what_to_do() -> None:
    """On the page, not in a log."""
    release = a_release(phase=ReleasePhase.FAILED, reason="1 circuit failed")
    text = text_of(render_release(ReleaseView(release=release, runs=failed_runs(), gates=(), summary="", now=NOW)))
    for told in (
        "1 circuit failed",
        "Input contains NaN",
        "compute batch-cluster: Succeeded",
        "Next: remove the cause",
    ):
        assert told in text


def test_a_failed_release_shows_how_its_predictions_differ_and_who_says_so() -> None:
    """R29: it may be the reason of the failure, and stood in the JSON alone."""
    schema = {"changed": ["heat: double expected, string found"], "source": "the model's signature"}
    run = replace(failed_runs()[0], evidence={"schema": schema})
    view = ReleaseView(release=a_release(phase=ReleasePhase.FAILED), runs=(run,), gates=(), summary="", now=NOW)
    told = "schema: columns changed: heat: double expected, string found (by the model's signature)"
    assert told in text_of(render_release(view))


def test_a_failed_releases_page_says_once_what_to_do() -> None:
    """Issue 6: not as one of the things that were found, and not twice where the circuit has no advice of its own."""
    first, failed, third = failed_runs()
    release = a_release(phase=ReleasePhase.FAILED, reason="a circuit failed")

    def page_of(advice: str) -> str:
        evidence = {"diagnosis": ["the Registry has it", advice]}
        runs = (first, replace(failed, evidence=evidence), third)
        return render_release(ReleaseView(release=release, runs=runs, gates=(), summary="all", now=NOW))

    assert "<li>the Registry has it</li>" in page_of(next_line(Remedy.CHANGED))
    assert "start a new release for it" not in page_of(next_line(Remedy.CHANGED))
    assert text_of(page_of("next: open the job, then retry")).count("Next: open the job, then retry") == 1
    assert "next:" not in page_of("next: open the job, then retry")


def test_a_message_that_could_not_be_delivered_shows_on_the_page() -> None:
    """Nobody waits for a mail that never came."""
    notice = Notice(
        release_id="20251210.1",
        moment=Moment.GATE_OPENED,
        subject="",
        channel=Channel.TEAMS,
        recipient="channel",
        created_at=NOW,
        state=NoticeState.UNDELIVERED,
        last_error="the Teams webhook answered 410",
    )
    view = ReleaseView(release=a_release(), runs=(), gates=(), summary="", now=NOW, notices=(notice,))
    assert "Not delivered by Teams: gate opened, the Teams webhook answered 410" in text_of(render_release(view))


def test_the_list_keeps_its_filters_on_the_next_page() -> None:
    """A cursor without its filter would show something else."""
    asked = ReleaseQuery(phase="failed", circuit="P/C & D", since="2025-12-01", requested_by="ann@example.com")
    view = ReleasesView(releases=(listed_as(a_release()),), now=NOW, asked=asked, next_cursor="20251209.1")
    html = render_releases(view)
    following = parse_qs(re.findall(r'<a href="\?([^"]*)"', html)[-1].replace("&amp;", "&"))
    assert following == {
        "phase": ["failed"],
        "circuit": ["P/C & D"],
        "since": ["2025-12-01"],
        "requested_by": ["ann@example.com"],
        "cursor": ["20251209.1"],
    }
    assert 'value="2025-12-01"' in html
    assert '<option value="failed" selected>' in html


def test_the_list_carries_a_readers_link_on() -> None:
    """To each release, the next page and a filtered list; whoever is signed in has none."""
    view = ReleasesView(releases=(listed_as(a_release()),), now=NOW, next_cursor="next", view_token="own.link")
    page = Outline(render_releases(view))
    targets = [target for target in page.targets() if target != "/assets/pages.css"]
    assert targets == ["/releases/20251210.1?view=own.link", "?view=own.link&cursor=next"]
    assert page.fields()["view"]["value"] == "own.link"
    signed_in = Outline(render_releases(ReleasesView(releases=(listed_as(a_release()),), now=NOW)))
    assert "/releases/20251210.1" in signed_in.targets()
    assert "view" not in signed_in.fields()


@pytest.mark.parametrize("name", sorted(sample_pages()))
def test_every_page_is_built_as_people_and_programs_expect(name: str) -> None:
    """One h1, a language, no script, no inline style, no handler; every cell of a head says for what."""
    page = Outline(sample_pages()[name])
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == 1
    assert "script" not in tags
    assert "style" not in tags
    assert [attrs for _, attrs in page.elements if any(key == "style" or key.startswith("on") for key in attrs)] == []
    assert all("scope" in attrs for tag, attrs in page.elements if tag == "th")
    assert dict(page.elements)["html"]["lang"] == "en"


def test_neither_pages_nor_mails_fetch_anything_from_elsewhere() -> None:
    """No images, fonts or scripts: nothing tells others who reads."""
    for html in (*sample_pages().values(), *sample_mails().values()):
        assert not re.search(r"(src=|url\(|@import|<link[^>]+href=\"(?!/assets/))", html)
    assert b"url(" not in STYLESHEET


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (221, "3 min 41 s"),
        (86340, "23 h 59 min"),
        (90000, "1 d 1 h"),
        (-5, "0 s"),
        ("x", ""),
    ],
)
def test_durations_are_told_in_two_units(seconds: object, told: str) -> None:
    """Enough to judge, short enough for a phone."""
    assert duration(seconds) == told


def test_times_and_numbers_are_told_without_surprises() -> None:
    """A deadline that is reached has expired; a date that is none has no age."""
    assert time_left(NOW, NOW) == "expired"
    assert (age("2025-12-09", NOW), age("2025-12-11", NOW), age("v7", NOW)) == ("1 day old", "in the future", "")
    assert (number(0.123456789), number(None), number("n/a")) == ("0.123457", "", "n/a")


def test_the_page_says_in_whose_name_the_answer_goes() -> None:
    """A forwarded mail is noticed."""
    assert f"You answer as {APPROVER}" in text_of(render_approval(an_approval()))


def test_the_sample_of_one_moment_does_not_contradict_itself() -> None:
    """What scored PLANT001/CIRCUIT01 on 3 December at 14:00: live before it, until after it, approved before it was live."""
    view = circuit_asked()
    (time,) = view.times
    assert view.at == datetime(2025, 12, 3, 14, tzinfo=UTC)
    assert time.until is not None
    assert time.approval is not None
    assert time.approval.at is not None
    assert time.approval.at < time.entry.activated_at <= view.at < time.until
    assert time.gate is not None
    assert {time.entry.release_id, time.gate.release_id, time.approval.release_id} == {"20251203.5"}
    assert time.gate.opened_at < time.gate.decisions[0].at == time.approval.at
    assert time.approval.evidence_sha256 == time.gate.digest == time.gate.decisions[0].digest
