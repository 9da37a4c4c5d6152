"""Pictures of every page, mail and card for the documentation: `python -m tests.browser.screenshots [folder]`."""

import sys
from pathlib import Path

from tests.support.chromium import chromium
from tests.support.sample_pages import page_server, sample_mails, sample_pages

MOST_BYTES = 200_000
PHONE, DESK, TALL = (360, 640), (1100, 800), (1100, 1000)
# name -> (screen, colour scheme, the whole page or the first screen)
PICTURES = {
    "approval-registry": (TALL, "light", False),
    "approval-production": (TALL, "dark", False),
    "approval-many": (PHONE, "light", False),
    "approval-changed": (PHONE, "dark", False),
    "approval-wrong-code": (PHONE, "light", False),
    "approval-decided": (PHONE, "light", False),
    "approval-expired": (PHONE, "dark", False),
    "release-testing": (DESK, "light", True),
    "release-succeeded": (DESK, "dark", True),
    "release-failed": (PHONE, "light", True),
    "rollback": (DESK, "light", True),
    "circuit": (PHONE, "light", True),
    "circuit-at": (DESK, "dark", True),
    "releases": (DESK, "light", True),
    "error": (PHONE, "light", False),
    "mail-gate-opened": (PHONE, "light", True),
    "mail-gate-production": (PHONE, "light", True),
    "mail-succeeded": (DESK, "light", True),
    "mail-failed": (DESK, "light", True),
    "mail-ended": (PHONE, "light", True),
    "mail-invalid": (DESK, "light", True),
}


def main(folder: Path) -> None:
    """Renders all of them into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {**sample_pages(), **sample_mails()}
    with page_server(pages) as base, chromium() as browser:
        for name, ((width, height), scheme, whole) in PICTURES.items():
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
            tab.goto(f"{base}/{name}")
            picture = tab.screenshot(path=folder / f"{name}.png", full_page=whole)
            tab.close()
            if len(picture) > MOST_BYTES:
                raise SystemExit(f"{name}.png has {len(picture)} bytes; documents take {MOST_BYTES}")
            print(folder / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
