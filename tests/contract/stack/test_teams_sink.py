"""The Teams sink as a process, over HTTP."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.demo.http import Http
from local.stack.ports import free_base

CARD = {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "Release 20251210.1"}]}
MESSAGE = {
    "type": "message",
    "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": CARD}],
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[str]:
    """The address of a running sink."""
    port = free_base()
    command = [sys.executable, "-m", "local.teams_sink", "--port", str(port), "--data", str(tmp_path)]
    with subprocess.Popen([*command, "--stop-with-stdin"], stdin=subprocess.PIPE) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/health")
        yield url
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0


def wait_for(url: str) -> None:
    """Ask until the address answers."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Http().get(url).status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} did not answer")


def test_a_card_is_accepted_listed_and_shown(sink: str) -> None:
    """202 as the real webhook, the card as JSON for tests, as a page for people."""
    assert Http().post(f"{sink}/webhook", json.dumps(MESSAGE).encode(), JSON).status == 202
    assert [entry["card"] for entry in Http().get(f"{sink}/api/cards").json()] == [CARD]
    assert "Release 20251210.1" in Http().get(f"{sink}/").text


def test_what_is_no_card_is_refused(sink: str) -> None:
    """A wrong envelope is told so and not kept."""
    reply = Http().post(f"{sink}/webhook", b'{"text": "old connector"}', JSON)
    assert reply.status == 400
    assert Http().get(f"{sink}/api/cards").json() == []
