"""A headless browser that notes what goes wrong, and a body with everything a body can have."""

from __future__ import annotations

import base64
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab.bodies import Body, load_body
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.format import read_body_file, write_body_file
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.viewer import write_page

_spec = importlib.util.spec_from_file_location("chromium", Path(__file__).with_name("chromium.py"))
chromium = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chromium)

INSIDE = ("file:", "blob:", "data:", "http://127.0.0.1", "ws://127.0.0.1", "about:", "devtools:")
# Chromium's own remarks on software rendering, and JupyterLab's on itself.
REMARKS = ("GPU stall due to ReadPixels", "GroupMarkerNotSet", "Automatic fallback to software")
STARTED = ".hmr[data-pictures]"
BLANK = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTpO0wAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="session")
def browser_path():
    path = chromium.find_chromium()
    if path is None:
        pytest.skip(f"BROWSER TESTS SKIPPED: no Chromium on this machine. {chromium.HOW}")
    return path


@pytest.fixture(scope="session")
def browser(browser_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser_path, args=list(chromium.FLAGS))
        yield opened
        opened.close()


@dataclass
class Watched:
    """A page, and what it did that it should not have done."""

    page: object
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, path: Path, viewers: int = 1) -> None:
        """Open a file and wait until so many viewers have drawn, at least one if -1."""
        self.page.goto(path.as_uri())
        self.page.wait_for_function(
            """([what, count]) => {
                const found = document.querySelectorAll(what).length;
                return count < 0 ? found > 0 : found === count;
            }""",
            arg=[STARTED, viewers],
        )

    def vertices(self, viewer: int = 0, figure: int = 0) -> np.ndarray:
        """What the page draws, (V, 3) metres."""
        flat = self.page.evaluate(
            "([v, f]) => Array.from(document.querySelectorAll('.hmr')[v].hmrlab.vertices(f))",
            [viewer, figure],
        )
        return np.array(flat).reshape(-1, 3)

    def pixels(self, viewer: int = 0) -> np.ndarray:
        """The viewer's canvas, (H, W, 4) uint8; nothing is drawn where alpha is 0."""
        height, width, flat = self.page.evaluate(
            """(v) => {
                const canvas = document.querySelectorAll('.hmr')[v].hmrlab.canvas;
                const { width, height } = canvas;
                const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
                let text = '';
                for (let k = 0; k < data.length; k += 8192) {
                    text += String.fromCharCode(...data.subarray(k, k + 8192));
                }
                return [height, width, btoa(text)];
            }""",
            viewer,
        )
        return np.frombuffer(base64.b64decode(flat), np.uint8).reshape(height, width, 4)

    def label(self, text: str):
        """What is labelled so."""
        return self.page.get_by_label(text, exact=True)

    def drag(self, text: str, value: float) -> float:
        """Move a slider as a hand does, in steps; where it stands then."""
        slider = self.label(text)
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        least, most = (float(slider.get_attribute(name)) for name in ("min", "max"))
        now = float(slider.input_value())
        share = [(v - least) / (most - least) for v in (now, value)]
        place = [box["x"] + 8 + (box["width"] - 16) * part for part in share]  # 8: half a thumb
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(place[0], middle)
        self.page.mouse.down()
        self.page.mouse.move(place[1], middle, steps=6)
        self.page.mouse.up()
        self.settle()
        return float(slider.input_value())

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )


@pytest.fixture
def watch(browser):
    """Opens pages; at the end none may have logged an error or asked for anything outside."""
    opened: list[Watched] = []

    def make(**options) -> Watched:
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 700}} | options)
        page = context.new_page()
        page.set_default_timeout(30_000)
        watched = Watched(page)
        page.on("console", lambda message: _note(watched, message))
        page.on("pageerror", lambda error: watched.errors.append(f"{error}\n{error.stack}"))
        page.on("request", lambda request: _request(watched, request.url))
        page.on("websocket", lambda socket: _request(watched, socket.url))
        opened.append(watched)
        return watched

    yield make
    for watched in opened:
        watched.page.context.close()
        assert watched.errors == []
        assert watched.outside == []


@pytest.fixture
def shown(watch, tmp_path):
    """Writes viewers as a page and opens it."""

    def show(*viewers, started=None, **options):
        for viewer in viewers:
            viewer._poster = viewer._poster or BLANK  # a real one takes its time
        path = write_page(tmp_path / "page.html", viewers, include_body=True)
        watched = watch(**options)
        watched.open(path, len(viewers) if started is None else started)
        return watched

    return show


def _note(watched: Watched, message) -> None:
    if message.type == "error" and not any(remark in message.text for remark in REMARKS):
        watched.errors.append(message.text)


def _request(watched: Watched, address: str) -> None:
    if not address.startswith(INSIDE):
        watched.outside.append(address)


@pytest.fixture(scope="session")
def light() -> Body:
    return load_body("free", "light")


@pytest.fixture(scope="session")
def own_body_file(tmp_path_factory) -> Path:
    """A body as a user brings it: with pose correctives, and none of ours."""
    arrays = read_body_file(ASSETS / "free_body_light.npz")
    rng = np.random.default_rng(5)
    correctives = rng.normal(0, 0.002, (len(arrays.v_template), 3, 207))
    shifted = arrays.v_template * np.array([1.02, 0.98, 1.01])
    path = tmp_path_factory.mktemp("own") / "body.npz"
    write_body_file(
        path, type(arrays)(**{**vars(arrays), "posedirs": correctives, "v_template": shifted})
    )
    return path


@pytest.fixture(scope="session")
def own_body(own_body_file) -> Body:
    return load_body(own_body_file)


@pytest.fixture(scope="session")
def poses() -> tuple[torch.Tensor, torch.Tensor]:
    """Wild poses and shapes: (6, 24, 3) axis-angles up to half turns, (6, 10) betas up to 6."""
    generator = torch.Generator().manual_seed(3)
    pose = torch.randn(6, 24, 3, generator=generator)
    pose[0] = 0
    pose[1, 18] = torch.tensor([3.14, 0.0, 0.0])
    betas = 2 * torch.randn(6, 10, generator=generator)
    betas[0] = 0
    return pose, betas.clamp(-6, 6)


class Answers:
    """What a network might answer for n people."""

    def __init__(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        facing = torch.zeros(n, 24, 3)
        facing[:, 0, 0] = torch.pi  # y down, as a camera sees it
        noise = 0.3 * torch.randn(n, 24, 3, generator=generator)
        noise[:, 0] = 0
        self.rotations = axis_angle_to_matrix(facing + noise)
        self.betas = torch.randn(n, 10, generator=generator)
        self.camera = torch.tensor([[0.9, 0.05, 0.1]]).repeat(n, 1)


@pytest.fixture(scope="session")
def answers():
    """Makes what a network might answer for n people: answers(n, seed)."""
    return Answers
