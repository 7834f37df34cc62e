"""The browser that the viewer is tested in: find one, or install Debian's where that is allowed.

    python tests/viewer/chromium.py        what `make test` calls first

A browser is taken from $HMRLAB_CHROMIUM, from the PATH, or from Playwright's own folder. Where
there is none, this installs Debian's package `chromium` if it may (as root, with apt-get), and says
so; elsewhere it says how to get one. Without a browser the tests in it are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
# Software WebGL, so that every machine draws the same.
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
HOW = (
    "Install Chromium or Chrome (Debian, Ubuntu: apt install chromium; anywhere: "
    "python -m playwright install chromium), or name one in HMRLAB_CHROMIUM."
)


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome, or None."""
    named = os.environ.get("HMRLAB_CHROMIUM")
    if named:
        return named if Path(named).is_file() else None
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return next((path for path in (MAC, _playwrights_own()) if path and Path(path).exists()), None)


def _playwrights_own() -> str | None:
    try:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            return playwright.chromium.executable_path
    except Exception:  # not installed, or no driver for this machine
        return None


def main() -> None:
    """Say which browser there is; install one if there is none and that is allowed here."""
    found = find_chromium()
    if not found and shutil.which("apt-get") and os.geteuid() == 0:
        print("No Chromium here: installing Debian's package for the browser tests", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-q"], ["install", "-yq", "--no-install-recommends", "chromium"]):
            done = subprocess.run(["apt-get", *words], env=quiet, stdout=subprocess.DEVNULL)
            if done.returncode:
                break
        found = find_chromium()
    if found:
        print(f"browser tests: {found}")
    else:
        print(f"BROWSER TESTS WILL BE SKIPPED: no Chromium here. {HOW}", file=sys.stderr)


if __name__ == "__main__":
    main()
