"""Debian's Chromium, driven by playwright."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

PROGRAM = shutil.which("chromium")
MISSING = "Chromium is not installed; on Debian: apt-get install chromium"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of our own; closed afterwards."""
    if PROGRAM is None:
        raise RuntimeError(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
