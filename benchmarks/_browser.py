"""What benchmarks/viewer.py measures with: a browser, a probe in its pages, and a JupyterLab."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

from hmrlab.rendering.backends import environment_for_children

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS = 180_000  # for a kernel to import what it needs, on a slow machine
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Runs before all scripts of a page. WebGL canvases keep their pixels, so that they can be read.
PROBE = """(() => {
  const probe = globalThis.probe = { pictures: 0, bytes: 0 };
  const before = (holder, name, look) => {
    const old = holder[name];
    holder[name] = function (...given) { look(given); return old.apply(this, given); };
  };
  before(HTMLCanvasElement.prototype, "getContext", (given) => {
    if (given[0].startsWith("webgl")) given[1] = { ...given[1], preserveDrawingBuffer: true };
  });
  let uploaded = false, drawn = false;
  for (const name of ["bufferData", "bufferSubData"]) {
    before(WebGL2RenderingContext.prototype, name, (given) => {
      uploaded ||= given.some((one) => ArrayBuffer.isView(one) && one.byteLength >= VERTEX_BYTES);
    });
  }
  for (const [name, count] of [["drawArrays", 2], ["drawElements", 1]]) {
    before(WebGL2RenderingContext.prototype, name, (given) => {
      if (uploaded && given[count] > 5000) [uploaded, drawn] = [false, true];
    });
  }
  globalThis.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        probe.bytes += data.byteLength ?? data.size ?? data.length;
      });
    }
  };
  const [wide, tall] = [64, 48];
  const small = Object.assign(document.createElement("canvas"), { width: wide, height: tall });
  const pen = small.getContext("2d", { willReadFrequently: true });
  const blue = (canvas) => { // share of its pixels
    pen.clearRect(0, 0, wide, tall);
    pen.drawImage(canvas, 0, 0, wide, tall);
    const pixels = pen.getImageData(0, 0, wide, tall).data;
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      count += pixels[i + 3] > 128 && pixels[i + 2] - pixels[i] > 16;
    }
    return count / (wide * tall);
  };
  // What the body covers of the canvas that shows it, and that canvas's size; null without one.
  probe.look = () => {
    for (const canvas of document.querySelectorAll("canvas")) {
      const share = canvas.width && canvas.clientWidth ? blue(canvas) : 0;
      if (share > 0.005) return { share, size: [canvas.clientWidth, canvas.clientHeight] };
    }
    return null;
  };
  const frame = () => {
    if (!probe.first && probe.look()) probe.first = performance.now();
    if (drawn) probe.pictures += 1;
    drawn = false;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})()"""

# One change for each frame; the clock stops when the last picture has been read back.
LOOP = """async ([changer, arrays, seconds]) => {
  const change = await eval(changer), frame = () => new Promise(requestAnimationFrame);
  const all = arrays.map((one) => new Float32Array(one));
  let k = 0;
  const run = async (milliseconds) => {
    const began = performance.now();
    while (performance.now() - began < milliseconds) {
      await change(all[k++ % all.length]);
      await frame();
    }
    probe.look();
    await frame();
    return performance.now() - began;
  };
  await run(300);
  probe.pictures = 0;
  const took = await run(1000 * seconds);
  return (1000 * probe.pictures) / took;
}"""

# In JupyterLab: the state of the notebook's kernel; and a way to run code in it and to count.
READY = "globalThis.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status"
EXECUTE = """async (code) => {
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  const frame = () => new Promise(requestAnimationFrame);
  Object.assign(probe, { pictures: 0, bytes: 0 });
  const began = performance.now();
  await kernel.requestExecute({ code }).done;
  await frame(); // draws what came last
  await frame(); // counts it
  probe.look(); // waits until all drawing is done: some of it may have piled up
  return [(1000 * probe.pictures) / (performance.now() - began), probe.bytes];
}"""


def find_chromium() -> str:
    """The browser's program: what $HMRLAB_CHROMIUM names, or one in the path.

    Raises:
        SystemExit: there is none, or nothing to drive it with.
    """
    if find_spec("playwright") is None:
        raise SystemExit("playwright is missing, which drives the browser: pip install -e '.[dev]'")
    named = os.environ.get("HMRLAB_CHROMIUM")
    names = [named] if named else CHROMIUM
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise SystemExit(
            f"no browser found ({', '.join(names)}): install Chromium (apt install chromium), name "
            "one in HMRLAB_CHROMIUM, or measure only what needs none (--parts weight)"
        )
    return found


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """A browser that draws in software and finds no other machine."""
    from playwright.sync_api import sync_playwright

    flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader",
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # fmt: skip
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


def open_page(browser: Browser, address: str, size: Sequence[int], vertices: int) -> Page:
    """A page with the probe in it, in a profile of its own.

    Args:
        size: of the window, pixels.
        vertices: of the body that the probe counts pictures of.
    """
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(PROBE.replace("VERTEX_BYTES", str(12 * vertices)))
    page.goto(address)
    return page


class Lab:
    """A JupyterLab with notebooks of one cell.

    Args:
        folder: of the notebooks and of the server's own files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[Lab]:
        """Start the server, with settings of its own, and end it after use."""
        own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        environment = {name: str(self.folder / "jupyter" / name) for name in own}
        environment |= {"JUPYTER_TOKEN": self.token} | environment_for_children()
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
                   "--expose-app-in-browser", "--ip=127.0.0.1", f"--port={self.port}",
                   "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.folder}",
                   "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                   "--LabApp.extension_manager=readonly"]  # fmt: skip
        with open(self.folder / "jupyterlab.log", "wb") as log:
            server = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
        try:
            self.wait(server)
            yield self
        finally:
            server.terminate()  # it ends its kernels, too
            server.wait()

    def wait(self, server: subprocess.Popen[bytes]) -> None:
        """Wait until the server answers.

        Raises:
            OSError: it has ended, or does not answer in time.
        """
        until = time.monotonic() + PATIENCE_MS / 1000
        while True:
            try:
                return self.ask("status")
            except OSError:
                if server.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.3)

    def ask(self, what: str, content: object = None) -> None:
        """A request to the server; with content, one to make something."""
        data = None if content is None else json.dumps(content).encode()
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.address}/api/{what}", data, headers)
        urllib.request.urlopen(request, timeout=60).close()

    def show(self, browser: Browser, name: str, code: str, vertices: int) -> Page:
        """Open a notebook, run its cell, and wait until the body is seen."""
        kernel = {"name": "python3", "display_name": "Python 3"}
        cells = [nbformat.v4.new_code_cell(code)]
        book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(book, self.folder / f"{name}.ipynb")
        # the kernel first: a page that has to ask for one may run the cell before it is there
        place = {"path": f"{name}.ipynb", "name": name, "type": "notebook"}
        self.ask("sessions", place | {"kernel": {"name": "python3"}})
        address = f"{self.address}/lab/workspaces/{name}/tree/{name}.ipynb?token={self.token}"
        page = open_page(browser, address, (1200, 800), vertices)
        page.wait_for_function(f"{READY} === 'idle'")
        page.evaluate("void jupyterapp.commands.execute('notebook:run-cell')")
        page.wait_for_function("probe.first")
        page.wait_for_timeout(2000)  # whatever the page still does at its beginning
        return page


def run_in_kernel(page: Page, code: str) -> tuple[float, float]:
    """Run code that changes the body: pictures a second, bytes that came from the server."""
    page.bring_to_front()
    rate, size = page.evaluate(EXECUTE, code)
    page.wait_for_timeout(500)  # the next turn begins in quiet
    return rate, size


def run_in_page(page: Page, changer: str, arrays: list[list[float]], seconds: float) -> float:
    """Change the body for some seconds, one array after another: pictures a second.

    Args:
        changer: JavaScript of a function that is given an array.
    """
    return page.evaluate(LOOP, [changer, arrays, seconds])
