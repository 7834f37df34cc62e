"""One page for this machine's browser: a server on the loopback that knows nothing else."""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from hmrlab.files import FileProblem

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
