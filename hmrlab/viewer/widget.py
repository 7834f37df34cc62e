"""The notebook widget: bodies that are posed and shaped in the browser."""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image
from traitlets import HasTraits, TraitError, TraitType

from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.viewer import scene as scenes
from hmrlab.viewer.packing import Mesh, PackedBody, pack_body, pack_mesh
from hmrlab.viewer.scene import poster_png

STATIC = files("hmrlab.viewer") / "static"
STARTS = ("now", "picture")
PICTURE_QUALITY = 85


@lru_cache(maxsize=1)
def viewer_script() -> tuple[str, bytes]:
    """The bundle that runs in the browser: a digest of it, and its bytes."""
    data = (STATIC / "viewer.js").read_bytes()
    return hashlib.sha256(data).hexdigest()[:16], data


def to_browser(value: np.ndarray, _widget: object = None) -> dict[str, Any]:
    """An array as ipywidgets sends it: shape, and little-endian single precision."""
    return {"shape": list(value.shape), "data": memoryview(value.astype("<f4").tobytes())}


def from_browser(value: dict[str, Any], _widget: object = None) -> np.ndarray:
    """The array of what the browser sent."""
    return np.frombuffer(value["data"], "<f4").reshape(value["shape"])


class Numbers(TraitType):
    """An array of finite numbers whose shape stays what it was first.

    A tensor or nested lists will do; what is given without its first axis of length 1, or with its
    last axes flattened, is brought into shape. The value is read-only: assign a changed copy.
    """

    info_text = "an array of finite numbers"

    def __init__(self, **options: Any) -> None:
        super().__init__(default_value=np.zeros(0), **options)
        self.tag(sync=True, to_json=to_browser, from_json=from_browser)

    def validate(self, obj: HasTraits, value: Any) -> np.ndarray:
        """The value as a read-only array of single precision.

        Raises:
            TraitError: it has another shape, or a number that is not finite.
        """
        plain = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        array = np.array(plain, dtype=np.float32)
        before = obj._trait_values.get(self.name)
        if before is not None and before.size and array.shape != before.shape:
            if array.size != before.size:
                raise TraitError(f"{self.name}: expected shape {before.shape}, got {array.shape}")
            array = array.reshape(before.shape)
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise TraitError(f"{self.name}: {count} of {array.size} numbers are NaN or infinite")
        array.setflags(write=False)
        return array

    def set(self, obj: HasTraits, value: Any) -> None:
        """Set it, and tell nobody where nothing changed."""
        new = self._validate(obj, value)
        before = obj._trait_values.get(self.name)
        if before is not None and np.array_equal(new, before):
            return
        obj._trait_values[self.name] = new
        obj._notify_trait(self.name, before, new)


class BodyViewer(anywidget.AnyWidget):
    """Bodies that turn, and can be posed and shaped with the mouse.

    Skinning runs in the browser, with or without a kernel. `pose` and `betas` go both ways: assign
    them and the bodies move; move a slider and observers hear of it.

        viewer = BodyViewer(load_body())
        viewer.observe(lambda change: print(change.new[0, 18]), "pose")
        viewer.betas = torch.randn(1, 10)

    With `steps` there is a timeline, with `people` a row to pick from (see `compare`, `timeline`).

    Args:
        body: the body of all figures, or a mesh, or one of them for each figure.
        rotations: see `scene.takes_of`; a T-pose by default.
        betas: (..., 10), zeros by default.
        translation: (..., 3) metres in the camera's frame, for bodies over pictures.
        names: of the figures.
        people, steps: their labels, where there are several.
        step_name: what the steps are.
        pictures: (P, S, S, 3) uint8, the crop of each person.
        truth: number of the figure that the others are held against.
        frame: "body" (y up) or "camera" (y down, as predictions are).
        overlaid: bodies in one another's place, roots together, in place of side by side.
        heat: "none", "twist", "rotation" or "distance"; the last two need a truth.
        pale: (P, 24) in [0, 1], how far on the way to white the part of each of SMPL's joints is,
            of all figures of a person.
        title: a few words.
        height: of the stage, pixels.
        view: yaw and pitch to begin with, degrees.
        editable: whether it has sliders; by default where one step of one person is shown.
        start: "now", or "picture": a still picture, and the viewer at a click.

    Raises:
        ValueError: shapes, names or labels do not fit together.
    """

    _esm = (STATIC / "loader.js").read_text(encoding="utf-8")
    _script = traitlets.Unicode().tag(sync=True)
    _scene = traitlets.Dict().tag(sync=True)
    _takes = traitlets.Bytes().tag(sync=True)
    _pictures = traitlets.List(traitlets.Bytes()).tag(sync=True)
    _poster = traitlets.Bytes().tag(sync=True)
    _start = traitlets.Enum(STARTS, "now").tag(sync=True)

    pose = Numbers(help="(figures, 24, 3) axis-angles, radians")
    betas = Numbers(help="(figures, 10)")
    translation = Numbers(help="(figures, 3) metres in the camera's frame")
    frame = traitlets.Enum(scenes.FRAMES, "body").tag(sync=True)
    person = traitlets.Int(0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    speed = traitlets.Float(1.0).tag(sync=True)
    joint = traitlets.Int(-1, help="the joint that the sliders turn, -1 for none").tag(sync=True)
    heat = traitlets.Enum(scenes.HEATS, "none").tag(sync=True)
    overlaid = traitlets.Bool(False).tag(sync=True)
    wireframe = traitlets.Bool(False).tag(sync=True)
    skeleton = traitlets.Bool(False).tag(sync=True)
    ground = traitlets.Bool(True).tag(sync=True)
    backdrop = traitlets.Bool(False, help="the picture behind the body").tag(sync=True)
    height = traitlets.Int(420).tag(sync=True)

    def __init__(
        self,
        body: Body | Mesh | Sequence[Body | Mesh],
        rotations: Any | None = None,
        betas: Any | None = None,
        *,
        translation: Any | None = None,
        names: Sequence[str] | None = None,
        people: Sequence[str] | None = None,
        steps: Sequence[str] | None = None,
        step_name: str = "step",
        pictures: np.ndarray | None = None,
        truth: int | None = None,
        frame: str = "body",
        overlaid: bool = False,
        heat: str = "none",
        pale: np.ndarray | None = None,
        title: str = "",
        height: int = 420,
        view: tuple[float, float] | None = None,
        editable: bool | None = None,
        start: str = "now",
    ) -> None:
        self._bodies = list(body) if isinstance(body, Sequence) else [body]
        if rotations is None:
            count = np.shape(betas)[-2] if betas is not None else len(self._bodies)
            rotations = np.zeros((count, len(SMPL_JOINTS), 3))
        self._all = scenes.takes_of(rotations, betas, translation)
        n_people, n_steps, n_figures = self._all.shape
        if len(self._bodies) not in (1, n_figures):
            raise ValueError(f"{len(self._bodies)} bodies for {n_figures} figures: one, or as many")
        if pictures is not None and len(pictures) != n_people:
            raise ValueError(f"{len(pictures)} pictures of {n_people} people: one of each, please")
        if heat in ("rotation", "distance") and truth is None:
            raise ValueError(f"heat {heat!r} compares with the truth: say which figure that is")
        if pale is not None and np.shape(pale) != (n_people, len(SMPL_JOINTS)):
            raise ValueError(f"pale: expected ({n_people}, 24), got {np.shape(pale)}")
        self._images = pictures
        self._packs = [_pack(one) for one in self._bodies]
        labels = {
            "people": people or _numbered("person", n_people),
            "steps": steps or _numbered(step_name, n_steps),
            "names": names or _numbered("body", n_figures),
        }
        alone, posable = n_people * n_steps == 1, isinstance(self._bodies[0], Body)
        description = scenes.describe_scene(
            self._bodies, [pack.digest for pack in self._packs], self._all.shape, labels, truth,
            view or scenes.VIEWS[frame],
        )  # fmt: skip
        description |= {
            "stepName": step_name,
            "pictures": pictures is not None,
            "editable": posable and (alone if editable is None else editable),
            "title": title,
            "pale": None if pale is None else np.round(pale, 3).tolist(),
        }
        super().__init__(
            _script=viewer_script()[0],
            _scene=description,
            _takes=b"" if alone else self._all.to_bytes(),
            _pictures=[] if pictures is None else [_jpeg(picture) for picture in pictures],
            _start=start,
            frame=frame, overlaid=overlaid, heat=heat, height=height,
            ground=frame == "body", **self._all.at(0, 0),
        )  # fmt: skip
        self.on_msg(self._answer)
        if hasattr(self.comm, "_reply_subshell_for"):
            # JupyterLab sends what a page asks to a thread of its own, so that a long cell does not
            # keep it waiting; ipykernel 7.4 would redirect it to the thread that made the widget,
            # which is busy with the cell.
            self.comm._reply_subshell_for = lambda _content, asked_for: asked_for

    @property
    def free(self) -> bool:
        """Whether all that is shown may be passed on: no body model of the user's is in it."""
        return all(pack.free for pack in self._packs)

    def apply(self, posed: Any) -> None:
        """Show a network's prediction, or a fit, of as many bodies, in its camera's frame.

        Raises:
            ValueError: it has another number of bodies.
        """
        if len(posed.betas) != self._all.shape[2]:
            raise ValueError(f"{len(posed.betas)} bodies for a viewer of {self._all.shape[2]}")
        new = scenes.takes_of(posed.rotations, posed.betas, scenes.translation_of(posed)).at(0, 0)
        with self.hold_sync():
            self.frame = "camera"
            for name, values in new.items():
                setattr(self, name, values)

    def picture(self) -> bytes:
        """A still picture of what is shown now, PNG; looked at from where the viewer begins."""
        return poster_png(self, self._bodies, self._images)

    def draw_still(self) -> None:
        """Draw the picture that stands in for the viewer, once; where nothing can, warn."""
        if not self._poster:
            try:
                self._poster = self.picture()
            except RuntimeError as error:  # no renderer works here, and the viewer needs none
                warnings.warn(f"no still picture beside the viewer: {error}", stacklevel=2)

    def to_html(self, path: str | Path, *, include_body: bool = False, title: str = "") -> Path:
        """Write the viewer as a page that needs no kernel and no network (see `write_page`)."""
        from hmrlab.viewer.pages import write_page

        return write_page(path, [self], include_body=include_body, title=title)

    def __repr__(self) -> str:
        people, steps, figures = self._all.shape
        return f"BodyViewer: people {people}, steps {steps}, bodies {figures}"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Widget and PNG: where no widget can be shown, as on GitHub, the PNG is."""
        self.draw_still()
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None or not self._poster:
            return bundle
        data, metadata = bundle
        return {**data, "image/png": base64.b64encode(self._poster).decode()}, metadata

    @traitlets.validate("person", "step")
    def _within(self, proposal: Mapping[str, Any]) -> int:
        name = proposal["trait"].name
        count = self._all.shape[("person", "step").index(name)]
        if not 0 <= proposal["value"] < count:
            raise TraitError(f"{name}: 0 to {count - 1}, got {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("heat")
    def _comparable(self, proposal: Mapping[str, Any]) -> str:
        if proposal["value"] in ("rotation", "distance") and self._scene["reference"] is None:
            raise TraitError(f"heat {proposal['value']!r} needs a truth to compare with")
        return proposal["value"]

    @traitlets.observe("person", "step")
    def _moved(self, _change: object) -> None:
        if not self._takes:
            return
        with self.hold_sync():
            for name, values in self._all.at(self.person, self.step).items():
                setattr(self, name, values)

    def _answer(self, _widget: object, content: Any, _buffers: object) -> None:
        """Send the script or a body to a page that asks for it."""
        known = {pack.digest: pack.data for pack in self._packs}
        digest, script = viewer_script()
        wanted = {"script": {digest: script}, "body": known}
        if not isinstance(content, dict) or content.get("ask") not in wanted:
            return
        data = wanted[content["ask"]].get(content.get("digest"))
        if data is not None:
            reply = {"answer": content["ask"], "digest": content["digest"]}
            self.send(reply, [data])


@lru_cache(maxsize=8)  # bodies and meshes are told apart by identity
def _pack(body: Body | Mesh) -> PackedBody:
    return pack_mesh(body) if isinstance(body, Mesh) else pack_body(body)


def _numbered(name: str, count: int) -> list[str]:
    return [""] if count == 1 else [f"{name} {k}" for k in range(count)]


def _jpeg(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(picture)).save(buffer, format="jpeg", quality=PICTURE_QUALITY)
    return buffer.getvalue()
