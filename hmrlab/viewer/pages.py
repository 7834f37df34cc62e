"""Viewers as pages that need no kernel and no network, and a server of one page."""

from __future__ import annotations

import base64
import html
import json
import os
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

import numpy as np

from hmrlab.files import FileProblem, write_text_whole
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

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")  # by which a browser of this machine may call it
HTTP_PORT = 80  # the one that browsers leave out of a Host header
IDLE_SECONDS = 30.0  # after which a connection without a request is dropped
HEADERS = {
    # The page brings all it needs, so that nothing it shows can leave the machine.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src blob: data:; connect-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def write_page(
    path: str | Path,
    viewers: Sequence[BodyViewer],
    *,
    include_body: bool = False,
    title: str = "",
) -> Path:
    """Write viewers as one page (.html), whole or not at all.

    Args:
        path: of the page.
        viewers: shown below one another; they share their bodies and one script.
        include_body: write body models of the user's own, too. They are under their owners'
            licences, and whoever has the page has them.
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
    if not include_body and not all(viewer.free for viewer in viewers):
        raise FileProblem(
            "this viewer shows a body model of your own, and a page with it hands the model itself "
            "to whoever has the page. SMPL's licence forbids that. Nothing was written. If you may "
            "pass it on, or keep the page to yourself, say so with include_body=True (on the "
            "command line: --include-body)."
        )
    for viewer in viewers if stills else ():
        viewer.draw_still()
    blocks = [
        viewer_block({name: _plain(getattr(viewer, name)) for name in STATE}, f"hmrlab-{k}")
        for k, viewer in enumerate(viewers)
    ]
    bodies = "\n".join(
        f'<script type="text/plain" id="hmrlab-body-{pack.digest}">'
        f"{base64.b64encode(pack.data).decode()}</script>"
        for pack in packs.values()
    )
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
{bodies}
<script>{script}
hmrlabViewer.page();</script>
</body>
</html>
"""


def viewer_block(state: Mapping[str, Any], name: str) -> str:
    """The element that a viewer of this state, plain JSON, starts in; the page has its name once.

    It has a picture for pages whose scripts do not run.
    """
    poster = state["_poster"]["base64"]
    image = f'<img src="data:image/png;base64,{poster}" alt="a still picture of the bodies">'
    text = json.dumps(state, separators=(",", ":")).replace("<", "\\u003c")  # ends no script
    return (
        f'<div data-hmrlab="{name}">{image if poster else ""}</div>\n'
        f'<script type="application/json" id="{name}">{text}</script>\n'
    )


def _plain(value: Any) -> Any:
    """A value of a viewer as plain JSON, bytes in base 64."""
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "data": _plain(value.astype("<f4").tobytes())}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


class PageServer(ThreadingHTTPServer):
    """Serves one page at `/` on 127.0.0.1, to whoever asks for it by a name of this machine.

    A page of another site can have its name point here (DNS rebinding); it then asks by that name,
    and gets nothing. Use it as a context, and call `serve_forever`.

    Args:
        page: the HTML.
        port: 0 for a free one.

    Raises:
        FileProblem: the port is in use, or not for this user.
    """

    # Elsewhere than on POSIX this would let two programs have one port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, page: str, port: int = 0) -> None:
        self.page = page.encode()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise FileProblem(
                f"port {port} of {LOOPBACK} cannot be had ({error.strerror or error}). Is another "
                "hmrlab view running? Name another port, or leave --port away for a free one."
            ) from error

    @property
    def address(self) -> str:
        """What to type into a browser."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    @property
    def hosts(self) -> set[str]:
        """Host headers of those who mean this server."""
        with_port = {f"{name}:{self.server_port}" for name in NAMES}
        return with_port | set(NAMES) if self.server_port == HTTP_PORT else with_port

    def server_bind(self) -> None:
        """Bind, without HTTPServer's look-up of the machine's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of `/`; the base class answers other methods with 501."""

    server: PageServer
    server_version = "hmrlab"
    sys_version = ""
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            self.send_error(
                HTTPStatus.MISDIRECTED_REQUEST, explain=f"Ask for {self.server.address}"
            )
        elif self.path != "/":
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"All is at {self.server.address}")
        else:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(self.server.page)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(self.server.page)

    def end_headers(self) -> None:
        """Every answer, errors too, comes with `HEADERS`."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet: the terminal is for the address."""
