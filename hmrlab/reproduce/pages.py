"""An executed notebook as a page that needs no network and no kernel.

Formulas are MathML, no script comes from outside, viewers are alive, and what only a kernel could
show is left out.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import DictLoader, pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from hmrlab.bodies import load_body
from hmrlab.bodies.body import DETAILS
from hmrlab.files import write_text_whole, write_whole
from hmrlab.reproduce.sources import notebooks_folder
from hmrlab.viewer.packing import PackedBody, pack_body
from hmrlab.viewer.pages import STATE, viewer_block
from hmrlab.viewer.widget import BodyViewer, viewer_script

WIDGET = "application/vnd.jupyter.widget-view+json"
SCRIPT, BODIES = "viewer.js", "bodies.js"  # beside the pages that show viewers
_SCRIPTS = "".join(f'<script src="{name}"></script>' for name in (SCRIPT, BODIES))
_START = "<script>hmrlabViewer.page();</script>"
_STATE_OF_ALL = "application/vnd.jupyter.widget-state+json"
_OURS = f"{BodyViewer.__module__}.{BodyViewer.__name__}"
_BAR = re.compile(r"\d+%\|.*\||\d+it \[|\d+/\d+ \[\d\d:\d\d")  # how tqdm writes a bar
_TEMPLATE = "hmrlab.html.j2"
_TEMPLATE_TEXT = """
{%- extends 'index.html.j2' -%}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_css %}
<style>
main { max-width: 60rem; margin: 0 auto; }
nav.hmrlab { padding: 1rem; font-family: system-ui, sans-serif; }
nav.hmrlab a { color: #1d5fbf; text-decoration: underline; }
.jp-RenderedHTMLCommon math[display="block"] { margin: 1em 0; }
details.folded { flex: 1 1 auto; min-width: 0; font: 14px system-ui, sans-serif; }
details.folded > summary { cursor: pointer; padding: .2em 0; opacity: .75; }
</style>
{% endblock %}
{% block body_header %}{{ super() }}
<nav class="hmrlab"><a href="index.html">All notebooks of this run</a></nav>
{% endblock %}
{% block input %}
{%- if cell.metadata.get("jupyter", {}).get("source_hidden") -%}
<details class="folded"><summary>Show the solution</summary>{{ super() }}</details>
{%- else -%}{{ super() }}{%- endif -%}
{% endblock %}
"""


class _MathMLRenderer(IPythonRenderer):
    """Markdown to HTML with each formula turned into MathML, which browsers draw themselves."""

    def block_math(self, body: str) -> str:
        return _mathml(body, "block")

    def multiline_math(self, text: str) -> str:
        return _mathml(text.strip().strip("$"), "block")

    def latex_environment(self, name: str, body: str) -> str:
        return _mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")

    def inline_math(self, body: str) -> str:
        return _mathml(body, "inline")


_UPWARD = re.compile(r"(!\[[^\]]*\]\()\.\./")  # a picture's way out of the chapters' folder


class OfflineExporter(HTMLExporter):
    """nbconvert's JupyterLab page without what it would load from elsewhere, pictures included."""

    def __init__(self) -> None:
        super().__init__(extra_loaders=[DictLoader({_TEMPLATE: _TEMPLATE_TEXT})])
        self.template_file = _TEMPLATE

    @pass_context
    def markdown2html(self, context: dict, source: str) -> str:
        """nbconvert's filter for Markdown, with formulas as MathML."""
        attachments = context.get("cell", {}).get("attachments", {})
        # Chapters show pictures of ../figures; nbconvert embeds what lies below its path alone.
        root = str(notebooks_folder().parent)
        renderer = _MathMLRenderer(
            escape=False, attachments=attachments, embed_images=True, path=root
        )
        return MarkdownWithMath(renderer=renderer).render(_UPWARD.sub(r"\1", source))

    def page(self, notebook: NotebookNode, title: str, viewers: bool) -> str:
        """An executed notebook as one HTML document, its widgets left out; see `write_scripts`."""
        text, _ = self.from_notebook_node(notebook, resources={"metadata": {"name": title}})
        head, end, tail = text.rpartition("</body>")
        return head + (_SCRIPTS + _START if viewers else "") + end + tail


def clean_outputs(notebook: NotebookNode) -> NotebookNode:
    """The notebook without widgets, their state, and progress bars."""
    cleaned = nbformat.from_dict(notebook)
    cleaned.metadata.pop("widgets", None)
    for cell in cleaned.cells:
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _clean_output(output))]
    return cleaned


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
            if state is None or not set(state["_scene"]["bodies"]) <= set(_free_bodies()):
                continue
            block = viewer_block(state | {"_start": "picture"}, f"hmrlab-{number}")
            picture = output.data.get("image/png")
            output.data = nbformat.from_dict({"text/html": block})
            if picture:
                output.data["image/png"] = picture  # for the report's thumbnails
            number += 1
    return changed, number > 0


def write_scripts(folder: Path) -> None:
    """Write the viewer and the free bodies beside the pages that show them."""
    script = viewer_script()[1]
    write_whole(folder / SCRIPT, lambda file: file.write(script))
    packed = {
        digest: base64.b64encode(pack.data).decode() for digest, pack in _free_bodies().items()
    }
    write_text_whole(folder / BODIES, f"globalThis.hmrlabBodies = {json.dumps(packed)};\n")


@lru_cache(maxsize=1)
def _free_bodies() -> dict[str, PackedBody]:
    """The bodies that any page may carry, by their digests."""
    packs = (pack_body(load_body("free", detail)) for detail in DETAILS)
    return {pack.digest: pack for pack in packs}


def _mathml(latex: str, display: str) -> str:
    try:
        return convert(latex, display=display)
    except Exception:  # a formula beyond the converter is shown as it was written
        return f"<code>{html.escape(latex)}</code>"


def _clean_output(output: NotebookNode) -> NotebookNode | None:
    """The output without widgets and progress bars; None where nothing is left to see."""
    if output.output_type == "stream":
        kept = [line for line in output.text.splitlines(keepends=True) if not _BAR.search(line)]
        output.text = "".join(kept)
        return output if output.text.strip() else None
    if WIDGET in output.get("data", {}):
        # All that a widget shows without its state is its own name. Ours have a picture besides.
        del output.data[WIDGET]
        return output if any(kind.startswith("image/") for kind in output.data) else None
    return output


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
