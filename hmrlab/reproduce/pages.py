"""An executed notebook as a page that needs no network: formulas as MathML, no outside scripts."""

from __future__ import annotations

import html

from jinja2 import DictLoader, pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

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


class OfflineExporter(HTMLExporter):
    """nbconvert's JupyterLab page without the scripts that it would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__(extra_loaders=[DictLoader({_TEMPLATE: _TEMPLATE_TEXT})])
        self.template_file = _TEMPLATE

    @pass_context
    def markdown2html(self, context: dict, source: str) -> str:
        """nbconvert's filter for Markdown, with formulas as MathML."""
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _MathMLRenderer(escape=False, attachments=attachments)
        return MarkdownWithMath(renderer=renderer).render(source)

    def page(self, notebook: NotebookNode, title: str, scripts: str = "") -> str:
        """The notebook as one HTML document; its widgets are left out.

        Args:
            notebook: an executed notebook.
            title: what the browser's tab says.
            scripts: elements to end the body with.
        """
        text, _ = self.from_notebook_node(notebook, resources={"metadata": {"name": title}})
        head, end, tail = text.rpartition("</body>")
        return head + scripts + end + tail


def _mathml(latex: str, display: str) -> str:
    try:
        return convert(latex, display=display)
    except Exception:  # a formula beyond the converter is shown as it was written
        return f"<code>{html.escape(latex)}</code>"
