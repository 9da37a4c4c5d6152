"""Reads the envelope that a Workflows webhook takes, and renders its Adaptive Cards as plain HTML."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

CARD_TYPE = "application/vnd.microsoft.card.adaptive"
# Teams refuses larger messages: https://learn.microsoft.com/microsoftteams/limits-specifications-teams
MAX_BYTES = 28 * 1024

type Json = Mapping[str, Any]


class RefusedError(Exception):
    """The message is not what the webhook takes; the text says why."""


def read_cards(body: bytes) -> list[Json]:
    """The cards of one webhook message.

    Raises:
        RefusedError: too large, no message, or no Adaptive Card in it.
    """
    if len(body) > MAX_BYTES:
        raise RefusedError(f"the message has {len(body)} bytes, Teams takes {MAX_BYTES}")
    try:
        message = json.loads(body)
    except ValueError as error:
        raise RefusedError(f"not JSON: {error}") from error
    if not isinstance(message, dict) or message.get("type") != "message":
        raise RefusedError('the envelope needs "type": "message"')
    cards = [_card(attachment) for attachment in message.get("attachments") or []]
    if not cards:
        raise RefusedError("the message has no attachments")
    return cards


def _card(attachment: Json) -> Json:
    if attachment.get("contentType") != CARD_TYPE:
        raise RefusedError(f"an attachment's contentType must be {CARD_TYPE}")
    card = attachment.get("content")
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        raise RefusedError('an attachment\'s content must be an object with "type": "AdaptiveCard"')
    return card


def render(card: Json) -> str:
    """The card as HTML: texts, facts, columns and links; what is unknown is named, not hidden."""
    parts = [_element(element) for element in card.get("body", [])]
    parts += [_action(action) for action in card.get("actions", [])]
    return f'<article class="card">{"".join(parts)}</article>'


def _element(element: Json) -> str:
    match element.get("type"):
        case "TextBlock":
            tag = "strong" if element.get("weight") == "Bolder" else "span"
            return f"<p><{tag}>{escape(element.get('text', ''))}</{tag}></p>"
        case "FactSet":
            rows = (
                f"<tr><th scope=row>{escape(f['title'])}</th><td>{escape(f['value'])}</td></tr>"
                for f in element["facts"]
            )
            return f"<table>{''.join(rows)}</table>"
        case "Container" | "Column":
            return f"<div>{_elements(element.get('items', []))}</div>"
        case "ColumnSet":
            return f'<div class="columns">{_elements(element.get("columns", []))}</div>'
        case "ActionSet":
            return "".join(_action(action) for action in element.get("actions", []))
        case other:
            return f"<p><em>[{escape(str(other))}]</em></p>"


def _elements(elements: Sequence[Json]) -> str:
    return "".join(_element(element) for element in elements)


def _action(action: Json) -> str:
    if action.get("type") != "Action.OpenUrl":
        return f"<p><em>[{escape(str(action.get('type')))}]</em></p>"
    url, title = escape(str(action.get("url", ""))), escape(str(action.get("title", "open")))
    return f'<p><a href="{url}">{title}</a></p>'
