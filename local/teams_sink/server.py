"""The sink's HTTP side: `POST /webhook` takes cards, `/` shows them, `/api/cards` lists them as JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from local.teams_sink.cards import RefusedError, read_cards, render

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<title>Teams channel (local)</title><style>
body{{font-family:system-ui,sans-serif;max-width:44rem;margin:2rem auto;color-scheme:light dark}}
.card{{border:1px solid #8888;border-radius:.5rem;padding:.5rem 1rem;margin:.5rem 0 1.5rem}}
.columns{{display:flex;gap:1rem}} th{{text-align:left;padding-right:1rem;font-weight:600}}
</style><h1>Teams channel (local)</h1>{cards}</html>"""


class Channel:
    """The cards received so far, newest last, kept in one file of JSON lines."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._file = data / "cards.jsonl"
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        self.cards: list[dict[str, Any]] = [json.loads(line) for line in lines]

    async def receive(self, request: web.Request) -> web.Response:
        try:
            cards = read_cards(await request.read())
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=400)
        for card in cards:
            self._keep({"received_at": datetime.now(UTC).isoformat(timespec="seconds"), "card": card})
        return web.Response(status=202)

    def _keep(self, entry: dict[str, Any]) -> None:
        self.cards.append(entry)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    async def show(self, _request: web.Request) -> web.Response:
        cards = "".join(f"<time>{entry['received_at']}</time>{render(entry['card'])}" for entry in reversed(self.cards))
        return web.Response(text=PAGE.format(cards=cards or "<p>Nothing yet.</p>"), content_type="text/html")

    async def list_cards(self, _request: web.Request) -> web.Response:
        return web.json_response(self.cards)


async def health(_request: web.Request) -> web.Response:
    """Ready as soon as it answers."""
    return web.json_response({"status": "ok"})


def make_app(data: Path) -> web.Application:
    """The sink as an aiohttp application that keeps its cards under `data`."""
    channel = Channel(data)
    app = web.Application()
    app.add_routes(
        [
            web.post("/webhook", channel.receive),
            web.get("/", channel.show),
            web.get("/api/cards", channel.list_cards),
            web.get("/health", health),
        ]
    )
    return app
