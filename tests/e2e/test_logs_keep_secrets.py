"""What must never stand in a log: the text of a link, its code, a key, a signature."""

import re

import pytest

from local.demo.mailbox import CODE, LINK
from local.stack.keys import stack_secrets
from tests.support.pipeline import Pipeline
from tests.support.stories import WITHIN_SECONDS, Stories

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS)]


def logs(pipeline: Pipeline) -> dict[str, str]:
    """Every log file of the stack, as text."""
    return {file.name: file.read_text("utf-8", "replace") for file in pipeline.places.logs.glob("*.log")}


def test_no_log_holds_a_link_or_a_code_or_a_key(pipeline: Pipeline, stories: Stories) -> None:
    """After whole releases with approvals, of every part of the stack."""
    stories.first.result(WITHIN_SECONDS)
    texts = [mail.text for mail in pipeline.mails()]
    tokens = {link.group().rpartition("/")[2] for text in texts if (link := LINK.search(text))}
    codes = {code.group(1) for text in texts if (code := CODE.search(text))}
    assert len(tokens) >= 4
    assert len(codes) >= 4
    secrets = stack_secrets(pipeline.places)
    written = logs(pipeline)
    assert "release moved" in written["app.log"]
    for name, text in written.items():
        for token in tokens:
            payload, _, signature = token.rsplit(".", 2)
            assert token not in text, f"{name} holds a link's token"
            assert payload not in text, f"{name} holds a link's text"
            assert signature not in text, f"{name} holds a link's signature"
        for key in (secrets.function_key, secrets.link_signing_key, secrets.blob_events_key):
            assert key not in text, f"{name} holds a key"
    spoken = {line for line in written["app.log"].splitlines() if "code" in line.lower() or "gate" in line.lower()}
    assert not [line for line in spoken for code in codes if re.search(rf"(?<!\w){code}(?!\w)", line)]


def test_the_host_logs_the_approval_routes_without_what_follows(pipeline: Pipeline, stories: Stories) -> None:
    """That somebody opened an approval page is in the log; by which link, is not."""
    stories.first.result(WITHIN_SECONDS)
    lines = [line for line in logs(pipeline)["app.log"].splitlines() if "/approvals/" in line]
    assert lines
    assert [line for line in lines if "/approvals/[redacted]" not in line] == []
