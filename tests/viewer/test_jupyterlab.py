"""JupyterLab started for real, chapter 01 run in it, its body wrung."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
import torch

from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.rendering import environment_for_children
from hmrlab.reproduce.sources import notebooks_folder

ELBOW = SMPL_JOINTS.index("left_elbow")
RUN_ALL_MS = 400_000
VIEWER = ".hmr[data-pictures]"


@pytest.fixture(scope="module")
def lab(tmp_path_factory, browser):
    """A server that knows nothing but chapter 01: its address, with a token."""
    folder = tmp_path_factory.mktemp("lab")
    text = (notebooks_folder() / "01_body.ipynb").read_text(encoding="utf-8")
    (folder / "01_body.ipynb").write_text(text.replace('= \\"laptop\\"', '= \\"smoke\\"'))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    environment = os.environ | environment_for_children() | {
        "HMRLAB_HOME": str(folder / "home"), "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "PYTHONPATH": str(notebooks_folder()),  # `checks` lies there, not beside the copy
    }  # fmt: skip
    environment.pop("HMRLAB_BODY", None)
    log = folder / "log"
    with log.open("w") as words:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
             "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
             f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
             "--LabApp.expose_app_in_browser=True",
             "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
            env=environment, stdout=words, stderr=words,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api?token={token}", server, log)
        yield f"{address}/lab/tree/01_body.ipynb?token={token}", folder / "01_body.ipynb"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(address, server, log):
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.5)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def in_kernel(page, code):
    """What a line of code prints in the notebook's kernel."""
    return page.evaluate(
        """async (code) => {
            const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
            const future = kernel.requestExecute({ code });
            let printed = '';
            future.onIOPub = ({ content }) => { printed += content.text ?? content.evalue ?? ''; };
            await future.done;
            return printed;
        }""",
        code,
    )


def test_chapter_01_in_jupyterlab(lab, watch, light):
    address, notebook = lab
    watched = watch(viewport={"width": 1300, "height": 1000})
    page = watched.page
    page.goto(address)
    page.wait_for_function(
        "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status"
        " === 'idle'",
        timeout=90_000,
    )
    page.set_default_timeout(RUN_ALL_MS)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.set_default_timeout(60_000)
    cell = page.evaluate(
        """() => {
            const notebook = jupyterapp.shell.currentWidget.content;
            const at = notebook.widgets.findIndex(
                ({ model }) => model.sharedModel.source.includes('viewer = BodyViewer('));
            notebook.activeCellIndex = at;
            notebook.scrollToItem(at, 'start');
            return at;
        }"""
    )
    assert cell > 0
    page.wait_for_selector(VIEWER)
    watched.settle()
    assert (watched.pixels()[..., 3] == 255).mean() > 0.02
    assert in_kernel(page, "print(viewer.pose[0, elbow, 0] != 0)").strip() == "True"

    # The browser's slider, read in Python: and its vertices against Body's.
    twist = watched.drag("twist", -150)
    assert twist < -90
    page.wait_for_timeout(500)
    pose = torch.tensor(json.loads(in_kernel(page, "print(viewer.pose.tolist())")))
    assert np.degrees(pose[0, ELBOW].norm().item()) == pytest.approx(abs(twist), abs=0.1)
    wanted = light.vertices(pose, torch.zeros(1, 10))[0].numpy()
    assert np.linalg.norm(watched.vertices() - wanted, axis=1).max() < 1e-4

    # And Python's numbers, seen in the browser.
    in_kernel(page, "viewer.betas = [[2.0, 0, 0, -1.0, 0, 0, 0, 0, 0, 0]]")
    page.wait_for_function("document.querySelector('.hmr').hmrlab.state.betas[0] === 2")
    watched.settle()
    betas = torch.tensor([[2.0, 0, 0, -1, 0, 0, 0, 0, 0, 0]])
    wanted = light.vertices(pose, betas)[0].numpy()
    assert np.linalg.norm(watched.vertices() - wanted, axis=1).max() < 1e-4

    # What is saved is a notebook with pictures, and neither script nor body.
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    saved = notebook.read_text(encoding="utf-8")
    assert "application/vnd.jupyter.widget-view+json" in saved
    assert "hmrlabViewer" not in saved
    assert len(saved) < 1_000_000
    watched.errors[:] = [error for error in watched.errors if "404" not in error]
