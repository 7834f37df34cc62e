"""The viewer beside k3d and trimesh's viewer: page weight, first picture, pictures a second.

    python benchmarks/viewer.py [--rounds 7] [--detail light] [--parts weight ...] [--write]

All three show the same free body, in the same colour, on canvases of the same size, in one headless
Chromium that draws by software WebGL and reaches no network. Peers and ours take turns.

- weight: bytes of a page that stands alone; and without the script that all such pages share.
- first: from the start of navigation until a canvas shows the body. The same poll reads the pixels
  of all three, once for each frame.
- page: pictures a second while a loop in the page changes the pose, one change for each frame. Ours
  poses the body there; k3d cannot, and is handed vertices that were posed before the clock started.
  trimesh's page cannot change at all.
- lab: the same from the kernel of a real JupyterLab, at 30 changes a second and as fast as the
  kernel can send them; k3d's vertices again posed beforehand.

A picture counts when an animation frame follows in which new vertices have been drawn, so drawing
twice in one frame, or the same body again, counts nothing. That our page poses as `Body` does is
checked in the run. Needs k3d and playwright (the extra "dev") and a Chromium of the system's.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import trimesh
from _browser import Lab, chromium, find_chromium, open_page, run_in_kernel, run_in_page
from _common import in_words, markdown, origin, provenance, publish, spread
from tqdm.auto import tqdm
from trimesh import resources
from trimesh.util import decompress
from trimesh.viewer.notebook import scene_to_html

from hmrlab.bodies import load_body
from hmrlab.bodies.body import DETAILS
from hmrlab.viewer import BodyViewer
from hmrlab.viewer.pages import page_text
from hmrlab.viewer.widget import viewer_script

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAYS = {"k3d": "peer: k3d", "hmrlab": "hmrlab", "trimesh": "peer: trimesh"}
PEERS = ("k3d", "trimesh", "jupyterlab")
PARTS = ("weight", "first", "page", "lab")
MEASURES = {  # in words, digits, whether less is better
    "weight": ("stand-alone page, KB", 0, True),
    "beyond": ("the same without the shared script, KB", 0, True),
    "first": ("first picture, ms", 0, True),
    "page": ("changed in the page, pictures a second", 1, False),
    "paced": ("changed from the kernel 30 times a second, pictures a second", 1, False),
    "flood": ("changed from the kernel without a pause, pictures a second", 1, False),
    "wire": ("sent by the kernel for one change, KB", 2, True),
}
COLOUR = 0x8FB0DC  # hmrlab's first; the poll looks for a blue
VIEWPORT = (1000, 600)  # of our page; the peers' pages are as large as the canvas in it
K3D_CAMERA = (0, -0.05, 1.75, 0, -0.05, 0, 0, 1, 0)  # the body is as large as in ours
POSES = 16
PACE = 30  # changes a second
CHANGES = {"paced": 120, "flood": 200}
LARGEST_DIFFERENCE = 1e-4  # metres
SEED = 0

Figures = dict[str, dict[str, float]]  # by measures and ways

# JavaScript of a function that changes the body.
CHANGERS = {
    "hmrlab": """(() => {
      const viewer = document.querySelector(".hmr").hmrlab;
      return (pose) => { viewer.state.pose.set(pose); viewer.pose(); };
    })()""",
    "k3d": """(async () => {
      const plot = await K3DInstance, [mesh] = Object.values(plot.getWorld().ObjectsListJson);
      return (data) => {
        mesh.vertices = { data, shape: [data.length / 3, 3] };
        return plot.reload(mesh, { vertices: mesh.vertices });
      };
    })()""",
}
POSING = """([pose, count]) => { // milliseconds of one body, and its vertices
  const { body } = document.querySelector(".hmr").hmrlab.figures[0];
  const values = new Float32Array(pose), betas = new Float32Array(10);
  for (let k = 0; k < count; k++) body.set(values, betas);
  const began = performance.now();
  for (let k = 0; k < count; k++) body.set(values, betas);
  return { took: (performance.now() - began) / count, vertices: Array.from(body.positions) };
}"""

# Both stages as wide as the notebook and 420 pixels high; what is sent was made before.
CELLS = {
    "hmrlab": """import numpy as np
from hmrlab.bodies import load_body
from hmrlab.viewer import BodyViewer
arrays = np.load("poses.npy")[:, None]
shown, name = BodyViewer(load_body("free", "{detail}"), editable=False), "pose"
shown""",
    "k3d": """import k3d, numpy as np
arrays = np.load("vertices.npy")
plot = k3d.plot(height=420, camera_auto_fit=False)
shown, name = k3d.mesh(arrays[0], np.load("faces.npy"), color={colour}), "vertices"
plot += shown
plot.camera = {camera}
plot.display()""",
}
FROM_KERNEL = """import time
began = time.perf_counter()
for k in range({count}):
    setattr(shown, name, arrays[k % len(arrays)])
    time.sleep(max(0, began + (k + 1) * {pause} - time.perf_counter()))"""


@dataclass(frozen=True)
class Subject:
    """The body that all three show."""

    detail: str
    faces: np.ndarray
    poses: np.ndarray  # (N, 24, 3)
    vertices: np.ndarray  # (N, V, 3), metres

    @classmethod
    def make(cls, detail: str) -> Subject:
        """A body in some poses, the first of them at rest."""
        body = load_body("free", detail)
        poses = np.random.default_rng(SEED).normal(0, 0.15, (POSES, 24, 3)).astype(np.float32)
        poses[0] = poses[:, 0] = 0
        with torch.no_grad():
            vertices = body.vertices(torch.from_numpy(poses), torch.zeros(POSES, 10))
        return cls(detail, body.faces.numpy().astype(np.uint32), poses, vertices.numpy())

    def arrays(self, way: str) -> list[list[float]]:
        """What a way is given in the page: poses, or what comes of them."""
        given = self.poses if way == "hmrlab" else self.vertices
        return given.reshape(POSES, -1).tolist()


def k3d_page(subject: Subject) -> tuple[str, list[str]]:
    """A page, and the parts of it that do not depend on what is shown."""
    import k3d

    plot = k3d.plot(camera_auto_fit=False)
    plot += k3d.mesh(subject.vertices[0], subject.faces, color=COLOUR)
    plot.camera = K3D_CAMERA
    names = ("standalone.js", "require.js", "fflate.js")
    script, *others = ((files("k3d") / "static" / name).read_text("utf-8") for name in names)
    packed = base64.b64encode(zlib.compress(script.encode(), 9)).decode()
    return plot.get_snapshot(), [packed, *others]


def hmrlab_page(subject: Subject) -> tuple[str, list[str]]:
    """A page, and the parts of it that do not depend on what is shown."""
    script = viewer_script()[1].decode().replace("</script", "<\\/script")
    return page_text([BodyViewer(load_body("free", subject.detail))]), [script]


def trimesh_page(subject: Subject) -> tuple[str, list[str]]:
    """A page, and the parts of it that do not depend on what is shown."""
    mesh = trimesh.Trimesh(subject.vertices[0], subject.faces, process=False)
    mesh.visual.vertex_colors = [*COLOUR.to_bytes(3, "big"), 255]
    packed = decompress(resources.get_bytes("templates/viewer.zip"), file_type="zip")
    template = packed["viewer.html.template"].read().decode()
    return scene_to_html(mesh.scene()), template.split("$B64GLTF")


class StandAlone:
    """The three pages in a browser."""

    def __init__(self, browser: Browser, folder: Path, subject: Subject) -> None:
        self.browser, self.folder, self.subject = browser, folder, subject
        self.size: Sequence[int] = VIEWPORT
        with self.shown("hmrlab") as page:
            self.size = page.evaluate("probe.look().size")

    @contextmanager
    def shown(self, way: str) -> Iterator[Page]:
        """A page that shows the body."""
        size = VIEWPORT if way == "hmrlab" else self.size
        address = (self.folder / f"{way}.html").as_uri()
        page = open_page(self.browser, address, size, len(self.subject.vertices[0]))
        page.wait_for_function("probe.first")
        yield page
        page.close()

    def first(self, way: str) -> float:
        """Milliseconds from the start of navigation until the body is seen."""
        with self.shown(way) as page:
            return page.evaluate("probe.first")

    def covered(self, way: str) -> float:
        """Share of the canvas that shows the body."""
        with self.shown(way) as page:
            page.wait_for_timeout(1000)
            return round(page.evaluate("probe.look().share"), 3)

    def rate(self, way: str, seconds: float) -> float:
        """Pictures a second."""
        with self.shown(way) as page:
            return run_in_page(page, CHANGERS[way], self.subject.arrays(way), seconds)

    def posing(self, count: int = 200) -> float:
        """Milliseconds in which our page poses one body, skins it and finds its normals.

        Raises:
            ValueError: its vertices are not those of `Body`.
        """
        with self.shown("hmrlab") as page:
            found = page.evaluate(POSING, [self.subject.arrays("hmrlab")[-1], count])
        difference = np.abs(np.array(found["vertices"]) - self.subject.vertices[-1].ravel()).max()
        if difference > LARGEST_DIFFERENCE:
            raise ValueError(f"the page poses otherwise than Body, by {difference:.2g} m")
        return found["took"]


def weights(folder: Path, subject: Subject) -> Figures:
    """Write the pages; KB of each, whole and without the script.

    Raises:
        ValueError: a page has not the parts that it is taken to have.
    """
    makers = {"k3d": k3d_page, "hmrlab": hmrlab_page, "trimesh": trimesh_page}
    figures: Figures = {"weight": {}, "beyond": {}}
    for way in WAYS:
        text, shared = makers[way](subject)
        if not all(part in text for part in shared):
            raise ValueError(f"{way} makes its pages in another way now: look at {way}_page")
        rest = len(text.encode()) - sum(len(part.encode()) for part in shared)
        (folder / f"{way}.html").write_text(text, encoding="utf-8")
        figures["weight"][way] = len(text.encode()) / 1000
        figures["beyond"][way] = rest / 1000
    return figures


def open_notebooks(browser: Browser, lab: Lab, subject: Subject) -> dict[str, Page]:
    """A notebook of each way that shows the body."""
    arrays = {"poses": subject.poses, "vertices": subject.vertices, "faces": subject.faces}
    for name, values in arrays.items():
        np.save(lab.folder / f"{name}.npy", values)
    facts = {"detail": subject.detail, "colour": COLOUR, "camera": list(K3D_CAMERA)}
    count = len(subject.vertices[0])
    return {way: lab.show(browser, way, code.format(**facts), count) for way, code in CELLS.items()}


def changed_from_kernel(pages: dict[str, Page]) -> Figures:
    """A turn of each way in JupyterLab."""
    figures: Figures = {"paced": {}, "flood": {}, "wire": {}}
    for kind, pause in (("paced", 1 / PACE), ("flood", 0)):
        for way, page in pages.items():
            code = FROM_KERNEL.format(count=CHANGES[kind], pause=pause)
            figures[kind][way], size = run_in_kernel(page, code)
            figures["wire"][way] = size / CHANGES[kind] / 1000
    return figures


def rows_of(turns: Sequence[Figures]) -> list[dict[str, Any]]:
    """One row for each way and measure."""
    rows = []
    for measure in MEASURES:
        found = [turn[measure] for turn in turns if measure in turn]
        for way in found[0] if found else ():
            row = {"measure": measure, "way": WAYS[way]}
            row["figures"] = spread([values[way] for values in found])
            row["ratio"] = spread([better(measure, values, way, "k3d") for values in found])
            if way == "hmrlab" and "trimesh" in found[0]:
                ratios = [better(measure, values, way, "trimesh") for values in found]
                row["ratio_trimesh"] = spread(ratios)
            rows.append(row)
    return rows


def better(measure: str, values: dict[str, float], way: str, peer: str) -> float:
    """How many times as good as the peer."""
    ratio = values[way] / values[peer]
    return 1 / ratio if MEASURES[measure][2] else ratio


def measure(options: argparse.Namespace) -> tuple[list[Figures], dict[str, Any]]:
    """Figures of all turns, and what else was found."""
    subject = Subject.make(options.detail)
    found: dict[str, Any] = {"vertices": len(subject.vertices[0])}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        turns = [weights(folder, subject)]
        in_browser = [part for part in options.parts if part != "weight"]
        if not in_browser:
            return turns, found
        browser = stack.enter_context(chromium(find_chromium()))
        alone = StandAlone(browser, folder, subject)
        bar = stack.enter_context(tqdm(total=options.rounds * len(in_browser), unit="round"))

        def take_turns(part: str, turn: Callable[[], Figures]) -> None:
            bar.set_description(part)
            for _ in range(options.rounds):
                turns.append(turn())
                bar.update()

        covered = {way: alone.covered(way) for way in WAYS}  # warms up
        found |= {"chromium": browser.version, "canvas": alone.size, "covered": covered}
        if "first" in options.parts:
            take_turns("first", lambda: {"first": {way: alone.first(way) for way in WAYS}})
        if "page" in options.parts:
            rates = partial(alone.rate, seconds=options.seconds)
            take_turns("page", lambda: {"page": {way: rates(way) for way in CHANGERS}})
            found["posing_ms"] = spread([alone.posing() for _ in range(options.rounds)])
        if "lab" in options.parts:
            lab = stack.enter_context(Lab(folder).running())
            notebooks = open_notebooks(browser, lab, subject)
            changed_from_kernel(notebooks)  # warms up
            take_turns("lab", lambda: changed_from_kernel(notebooks))
    return turns, found


def table(result: dict[str, Any]) -> str:
    """The result for README.md."""
    settings, lines = result["settings"], []
    for name, (label, digits, _) in MEASURES.items():
        rows = {row["way"]: row for row in result["rows"] if row["measure"] == name}
        if not rows:
            continue
        ours = rows[WAYS["hmrlab"]]
        cells = [in_words(rows[way]["figures"], digits) if way in rows else "none"
                 for way in WAYS.values()]  # fmt: skip
        ratios = [in_words(ours[kind], 2) if kind in ours else "none"
                  for kind in ("ratio", "ratio_trimesh")]  # fmt: skip
        lines.append([label, *cells, *ratios])
    head = ["one body", *WAYS.values(), "ratio to k3d", "ratio to trimesh"]
    text = f"Free body, {settings['detail']}, {settings['vertices']:,} vertices. Median (least to "
    text += f"most) of {settings['rounds']} rounds; a ratio above 1 speaks for hmrlab.\n\n"
    return f"{text}{markdown(head, lines)}\n\n{_conditions(result)}{origin(result)}"


def _conditions(result: dict[str, Any]) -> str:
    """Sentences below the table."""
    settings, versions = result["settings"], result["provenance"]["versions"]
    used = ", ".join(f"{name} {versions[name]}" for name in PEERS)
    if "canvas" not in settings:
        return f"{used}.\n"
    wide, tall = settings["canvas"]
    covered = (f"{100 * share:.0f} % in {way}" for way, share in settings["covered"].items())
    text = f"Of a page's {wide} x {tall} pixels the body covers {', '.join(covered)}."
    if "posing_ms" in settings:
        milliseconds = in_words(settings["posing_ms"], 2)
        text += f" Posing, skinning and normals take hmrlab {milliseconds} ms; the rest is drawing."
    return f"{text}\n{used}, Chromium {settings['chromium']}, SwiftShader.\n"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a loop in the page")
    parser.add_argument("--detail", choices=DETAILS, default="light", help="of the free body")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--write", action="store_true", help="update results/ and README.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    options = parse(arguments)
    if find_spec("k3d") is None:
        raise SystemExit("k3d is missing, the peer: pip install -e '.[dev]'")
    turns, found = measure(options)
    kept = ("rounds", "seconds", "detail", "parts")
    result = {
        "provenance": provenance(SEED),
        "settings": {name: getattr(options, name) for name in kept} | found,
        "rows": rows_of(turns),
    }
    result["provenance"]["versions"] |= {name: metadata.version(name) for name in PEERS}
    print(table(result))
    if options.write:
        publish("viewer", result, table(result))
    return result


if __name__ == "__main__":
    main()
