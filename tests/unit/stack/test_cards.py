"""The Teams sink takes what a Workflows webhook takes, and nothing else."""

import json
from typing import Any

import pytest

from local.teams_sink.cards import RefusedError, read_cards, render


def envelope(card: dict[str, Any], **changes: Any) -> bytes:
    """A card in the webhook's envelope."""
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return json.dumps({"type": "message", "attachments": [attachment], **changes}).encode()


CARD = {
    "type": "AdaptiveCard",
    "version": "1.4",
    "body": [
        {"type": "TextBlock", "text": "Release <1>", "weight": "Bolder"},
        {"type": "FactSet", "facts": [{"title": "Plant", "value": "PLANT001"}]},
        {"type": "ColumnSet", "columns": [{"type": "Column", "items": [{"type": "TextBlock", "text": "left"}]}]},
        {"type": "Table"},
    ],
    "actions": [{"type": "Action.OpenUrl", "title": "Open", "url": "https://example.org/?a=1&b=2"}],
}


def test_a_card_in_its_envelope_is_read() -> None:
    """The card comes out as it went in."""
    assert read_cards(envelope(CARD)) == [CARD]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"not json", "not JSON"),
        (json.dumps(CARD).encode(), '"type": "message"'),
        (envelope(CARD, attachments=[]), "no attachments"),
        (envelope(CARD, attachments=[{"contentType": "text/plain"}]), "contentType"),
        (envelope({"type": "Message"}), "AdaptiveCard"),
        (envelope({"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": "x" * 29_000}]}), "bytes"),
    ],
)
def test_what_teams_would_not_take_is_refused_with_the_reason(body: bytes, why: str) -> None:
    """A wrong envelope must fail here, not only in production."""
    with pytest.raises(RefusedError, match=why):
        read_cards(body)


def test_a_card_is_shown_with_its_texts_escaped_and_unknown_elements_named() -> None:
    """A page of cards is no way to inject markup, and hides nothing."""
    shown = render(CARD)
    assert "Release &lt;1&gt;" in shown
    assert "PLANT001" in shown
    assert "left" in shown
    assert "[Table]" in shown
    assert 'href="https://example.org/?a=1&amp;b=2"' in shown
