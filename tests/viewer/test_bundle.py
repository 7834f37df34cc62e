"""The committed bundle is what its sources give."""

import hashlib
import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

VIEWER = Path(str(files("hmrlab.viewer")))
BUNDLE = VIEWER / "static" / "viewer.js"
JS = VIEWER / "js"


def test_the_bundle_names_its_sources():
    names = ["build.mjs", "package.json", "package-lock.json"]
    names += [f"src/{path.name}" for path in sorted((JS / "src").iterdir())]
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\n".encode() + (JS / name).read_bytes())
    head = BUNDLE.read_text(encoding="utf-8")[:200]
    assert re.search(r"sources sha256:(\w+)", head)[1] == digest.hexdigest(), "run: make viewer"


def test_the_lock_holds_versions_and_hashes_and_no_addresses():
    text = (JS / "package-lock.json").read_text()
    assert "resolved" not in text
    packages = json.loads(text)["packages"]
    wanted = json.loads((JS / "package.json").read_text())
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version
        assert packages[f"node_modules/{name}"]["integrity"].startswith("sha512-")


def test_threes_licence_goes_with_it():
    assert "The MIT License" in (BUNDLE.parent / "LICENSE.md").read_text()
    assert "SPDX-License-Identifier: MIT" in BUNDLE.read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("npm") is None, reason="SKIPPED: no npm to bundle with")
def test_building_it_anew_gives_the_same_file(tmp_path):
    work = tmp_path / "js"
    shutil.copytree(JS, work)
    install = ["npm", "--prefix", work, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"SKIPPED: npm cannot fetch three and esbuild here: {done.stderr[-300:]}")
    built = tmp_path / "viewer.js"
    subprocess.run(["node", work / "build.mjs", built], check=True, capture_output=True)
    assert built.read_bytes() == BUNDLE.read_bytes(), "run: make viewer"
