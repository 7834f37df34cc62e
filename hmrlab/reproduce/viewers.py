"""Viewers of an executed notebook, alive in its page without a kernel."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from hmrlab.bodies import load_body
from hmrlab.bodies.body import DETAILS
from hmrlab.files import write_text_whole, write_whole
from hmrlab.reproduce.outputs import WIDGET
from hmrlab.viewer.packing import PackedBody, pack_body
from hmrlab.viewer.pages import STATE, viewer_block
from hmrlab.viewer.widget import BodyViewer, viewer_script

SCRIPT, BODIES = "viewer.js", "bodies.js"
_STATE_OF_ALL = "application/vnd.jupyter.widget-state+json"
_OURS = f"{BodyViewer.__module__}.{BodyViewer.__name__}"
START = "<script>hmrlabViewer.page();</script>"


def with_viewers(notebook: NotebookNode) -> tuple[NotebookNode, bool]:
    """The notebook with HTML in place of its viewers' outputs, and whether there was any.

    A viewer begins as its picture. One that shows a body model of the user's own stays a picture:
    a page with the model in it must be asked for.

    Args:
        notebook: executed, with the widgets' state that papermill leaves in its metadata.
    """
    states = notebook.metadata.get("widgets", {}).get(_STATE_OF_ALL, {}).get("state", {})
    changed = nbformat.from_dict(notebook)
    number = 0
    for cell in changed.cells:
        for output in cell.get("outputs", []):
            model = output.get("data", {}).get(WIDGET, {}).get("model_id")
            state = _viewer_state(states.get(model, {}))
            if state is None or not set(state["_scene"]["bodies"]) <= set(free_bodies()):
                continue
            block = viewer_block(state | {"_start": "picture"}, f"hmrlab-{number}")
            picture = output.data.get("image/png")
            output.data = nbformat.from_dict({"text/html": block})
            if picture:
                output.data["image/png"] = picture  # for the report's thumbnails
            number += 1
    return changed, number > 0


def script_tags() -> str:
    """What a page with viewers ends with; the files lie beside it (`write_scripts`)."""
    return "".join(f'<script src="{name}"></script>' for name in (SCRIPT, BODIES)) + START


def write_scripts(folder: Path) -> None:
    """Write the viewer and the free bodies beside the pages that show them.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    script = viewer_script()[1]
    write_whole(folder / SCRIPT, lambda file: file.write(script))
    packed = {
        digest: base64.b64encode(pack.data).decode() for digest, pack in free_bodies().items()
    }
    write_text_whole(folder / BODIES, f"globalThis.hmrlabBodies = {json.dumps(packed)};\n")


@lru_cache(maxsize=1)
def free_bodies() -> dict[str, PackedBody]:
    """The bodies that any page may carry, by their digests."""
    packs = (pack_body(load_body("free", detail)) for detail in DETAILS)
    return {pack.digest: pack for pack in packs}


def _viewer_state(saved: Mapping[str, Any]) -> dict[str, Any] | None:
    """A viewer's values from the state of a widget; None for other widgets."""
    state = saved.get("state", {})
    if state.get("_anywidget_id") != _OURS:
        return None
    whole = json.loads(json.dumps(state))
    for buffer in saved.get("buffers", []):
        _put(whole, buffer["path"], {"base64": buffer["data"]})
    return {name: whole[name] for name in STATE}


def _put(values: Any, path: Iterable[str | int], value: object) -> None:
    *way, last = path
    for step in way:
        values = values[step]
    values[last] = value
