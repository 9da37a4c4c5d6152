"""Pictures of every page, mail and card for the documentation: `python -m tests.browser.screenshots [folder]`."""

import sys
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize

from tests.browser.small_png import with_palette
from tests.support.chromium import chromium
from tests.support.sample_pages import page_server, samples

MOST_BYTES = 100_000
MOST_BYTES_TOGETHER = 2_000_000
PHONE: ViewportSize = {"width": 360, "height": 640}
DESK: ViewportSize = {"width": 1080, "height": 720}

type Look = tuple[ViewportSize, str]
"""Screen and colour scheme; the picture is the first screen, which is what counts."""
OTHERWISE: Look = (PHONE, "light")
LOOKS: Mapping[str, Look] = {
    "approval-registry": (DESK, "light"),
    "approval-production": (DESK, "dark"),
    "approval-changed": (PHONE, "dark"),
    "approval-expired": (PHONE, "dark"),
    "approval-signed-in": (PHONE, "dark"),
    "release-testing": (DESK, "light"),
    "release-succeeded": (DESK, "dark"),
    "rollback": (PHONE, "dark"),
    "circuit-at": (DESK, "dark"),
    "releases": (DESK, "light"),
    "mail-failed": (DESK, "light"),
    "card-gate-production": (PHONE, "dark"),
    "card-failed": (DESK, "dark"),
}
HEAD = """# What people see

Made by `make screenshots` from the samples of the tests: every page, mail and Teams card (these in the official renderer).
"""


def main(folder: Path) -> None:
    """Renders all of them into the folder, and a page that shows them together."""
    folder.mkdir(parents=True, exist_ok=True)
    pages, sizes = samples(), {}
    for stale in set(folder.glob("*.png")) - {folder / f"{name}.png" for name in pages}:
        stale.unlink()
    with page_server(pages) as base, chromium() as browser:
        board = browser.new_page()
        for name in pages:
            taken = with_palette(picture(browser, f"{base}/{name}", LOOKS.get(name, OTHERWISE)), board)
            (folder / f"{name}.png").write_bytes(taken)
            sizes[name] = len(taken)
            print(f"{folder / name}.png  {sizes[name]:>7} bytes")
    (folder / "README.md").write_text(HEAD + "".join(f"\n![{name}]({name}.png)\n" for name in sorted(pages)))
    large = {name: size for name, size in sizes.items() if size > MOST_BYTES}
    if large or sum(sizes.values()) > MOST_BYTES_TOGETHER:
        raise SystemExit(f"too large for documents: {large}, together {sum(sizes.values())} bytes")


def picture(browser: Browser, address: str, look: Look) -> bytes:
    """The first screen as the browser gives it."""
    viewport, scheme = look
    tab = browser.new_page(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]  # one of its literals
    tab.goto(address)
    taken = tab.screenshot()
    tab.close()
    return taken


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
