"""Pictures of every page, mail and card for the documentation: `python -m tests.browser.screenshots [folder]`."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, ViewportSize

from tests.browser.small_png import with_palette
from tests.support.chromium import chromium
from tests.support.sample_pages import page_server, samples

MOST_BYTES = 150_000
MOST_BYTES_TOGETHER = 4_000_000
MOST_HEIGHT = 3_000
"""Of a whole page, in pixels: what comes after that is more of the same."""
WHOLE = "-whole"
"""Ends the name of the picture of a page that goes on below the first screen."""
PHONE: ViewportSize = {"width": 360, "height": 640}
DESK: ViewportSize = {"width": 1080, "height": 720}

SAME_BELOW = frozenset(
    {
        "approval-changed",
        "approval-decided",
        "approval-earlier-opening",
        "approval-expired",
        "approval-link-void",
        "approval-void",
        "approval-wrong-code",
        "mail-gate-reminder",
        "mail-gate-signed-in",
        "release-paused",
        "rollback-refused",
    }
)
"""What follows their first screen can be seen on another picture."""

type Look = tuple[ViewportSize, str]
"""Screen and colour scheme."""
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

Made by `make screenshots` from the samples of the tests: every page, mail and Teams card (these in the official renderer). The
first screen is what counts; where a page goes on below it, the whole page follows, cut off where it only repeats itself.
"""


def main(folder: Path) -> None:
    """Renders all of them into the folder, and a page that shows them together."""
    folder.mkdir(parents=True, exist_ok=True)
    pages, sizes = samples(), {}
    with page_server(pages) as base, chromium() as browser:
        board = browser.new_page()
        for name in pages:
            for title, taken in pictures(browser, f"{base}/{name}", LOOKS.get(name, OTHERWISE)):
                if title and name in SAME_BELOW:
                    continue
                small = with_palette(taken, board)
                (folder / f"{name}{title}.png").write_bytes(small)
                sizes[f"{name}{title}"] = len(small)
                print(f"{folder / name}{title}.png  {len(small):>7} bytes")
    for stale in set(folder.glob("*.png")) - {folder / f"{name}.png" for name in sizes}:
        stale.unlink()
    (folder / "README.md").write_text(HEAD + "".join(f"\n![{name}]({name}.png)\n" for name in sorted(sizes)))
    large = {name: size for name, size in sizes.items() if size > MOST_BYTES}
    if large or sum(sizes.values()) > MOST_BYTES_TOGETHER:
        raise SystemExit(f"too large for documents: {large}, together {sum(sizes.values())} bytes")


def pictures(browser: Browser, address: str, look: Look) -> Iterator[tuple[str, bytes]]:
    """The first screen as the browser gives it, and the whole page, what is folded opened, if there is more of it."""
    viewport, scheme = look
    tab = browser.new_page(viewport=viewport, color_scheme=scheme, bypass_csp=True)  # type: ignore[arg-type]  # a literal
    tab.goto(address)
    yield "", tab.screenshot()
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    height = min(int(tab.evaluate("document.documentElement.scrollHeight")), MOST_HEIGHT)
    if height > viewport["height"]:
        whole: FloatRect = {"x": 0, "y": 0, "width": viewport["width"], "height": height}
        yield WHOLE, tab.screenshot(full_page=True, clip=whole)
    tab.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
