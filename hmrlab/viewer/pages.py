"""Viewers as pages that need no kernel and no network."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hmrlab.files import FileProblem, write_text_whole
from hmrlab.viewer.packing import PackedBody
from hmrlab.viewer.widget import BodyViewer, viewer_script

STATE = (
    "_scene", "_takes", "_pictures", "_poster", "_start", "pose", "betas", "translation", "frame",
    "person", "step", "playing", "speed", "joint", "heat", "overlaid", "wireframe", "skeleton",
    "ground", "backdrop", "height",
)  # fmt: skip
"""What of a viewer goes into a page."""
_STYLE = """
body { margin: 0 auto; max-width: 1500px; padding: 16px; font: 15px/1.5 system-ui, sans-serif;
  background: Canvas; color: CanvasText; color-scheme: light dark; }
h1 { font-size: 1.2rem; margin: 0 0 .6rem; }
[data-hmrlab] { margin-bottom: 16px; }
[data-hmrlab] img { max-width: 100%; }
"""


def write_page(
    path: str | Path,
    viewers: Sequence[BodyViewer],
    *,
    include_body: bool = False,
    title: str = "",
) -> Path:
    """Write viewers as one page, whole or not at all.

    Args:
        path: of the `.html`.
        viewers: shown below one another; they share their bodies and one script.
        include_body: write bodies of the user's own, too (see `BodyViewer.to_html`).
        title: of the page; its viewers' by default.

    Raises:
        FileProblem: a body is not free and may not be included, or the file cannot be written.
    """
    return write_text_whole(path, page_text(viewers, include_body=include_body, title=title))


def page_text(
    viewers: Sequence[BodyViewer],
    *,
    include_body: bool = False,
    title: str = "",
    stills: bool = True,
) -> str:
    """The page of `write_page`; without `stills` it lacks the pictures for those without WebGL."""
    packs = {pack.digest: pack for viewer in viewers for pack in viewer._packs}
    if not include_body and not all(pack.free for pack in packs.values()):
        raise FileProblem(
            "this viewer shows a body model of your own, and a page with it hands the model itself "
            "to whoever has the page. SMPL's licence forbids that. Nothing was written. If you may "
            "pass it on, or keep the page to yourself, say so with include_body=True (on the "
            "command line: --include-body)."
        )
    for viewer in viewers if stills else ():
        viewer.draw_still()
    blocks = [viewer_block(viewer_state(viewer), f"hmrlab-{k}") for k, viewer in enumerate(viewers)]
    heading = f"<h1>{html.escape(title)}</h1>" if title else ""
    title = title or next((v._scene["title"] for v in viewers if v._scene["title"]), "hmrlab")
    script = viewer_script()[1].decode().replace("</script", "<\\/script")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{heading}
{"".join(blocks)}
{body_scripts(packs.values())}
<script>{script}
hmrlabViewer.page();</script>
</body>
</html>
"""


def viewer_state(viewer: BodyViewer) -> dict[str, Any]:
    """A viewer's values as plain JSON, its bytes in base 64."""
    return {name: _plain(getattr(viewer, name)) for name in STATE}


def viewer_block(state: Mapping[str, Any], name: str) -> str:
    """The element that a viewer starts in, with a picture for pages whose scripts do not run.

    Args:
        state: from `viewer_state`.
        name: an id that the page has once.
    """
    poster = state["_poster"]["base64"]
    image = f'<img src="data:image/png;base64,{poster}" alt="a still picture of the bodies">'
    text = json.dumps(state, separators=(",", ":")).replace("<", "\\u003c")  # ends no script
    return (
        f'<div data-hmrlab="{name}">{image if poster else ""}</div>\n'
        f'<script type="application/json" id="{name}">{text}</script>\n'
    )


def body_scripts(packs: Iterable[PackedBody]) -> str:
    """Bodies for the viewers of a page, each once."""
    return "\n".join(
        f'<script type="text/plain" id="hmrlab-body-{pack.digest}">'
        f"{base64.b64encode(pack.data).decode()}</script>"
        for pack in packs
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "data": _plain(value.astype("<f4").tobytes())}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value
