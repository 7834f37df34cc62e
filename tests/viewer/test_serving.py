"""The page that only this machine's browser gets, and the command that serves it."""

import http.client
import io
import os
import signal
import socket
import threading
import urllib.request
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PIL import Image

from hmrlab.bodies.body import ASSETS
from hmrlab.files import FileProblem
from hmrlab.viewer import BodyViewer
from hmrlab.viewer.pages import PageServer, page_text

PAGE = "<!DOCTYPE html><title>ä page</title>"


@contextmanager
def served(page: str = PAGE):
    with PageServer(page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server():
    with served() as running:
        yield running


def ask(server: PageServer, method: str = "GET", path: str = "/", host: str | None = "own"):
    """The answer to one request: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        own = f"127.0.0.1:{server.server_port}"
        connection.putheader("Host", own if host == "own" else host)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return SimpleNamespace(status=answer.status, headers=answer.headers, content=content)


def test_the_page_is_served_at_its_address(server):
    with urllib.request.urlopen(server.address, timeout=10) as answer:
        assert answer.read().decode() == PAGE
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert ask(server, host=f"localhost:{server.server_port}").content.decode() == PAGE
    assert ask(server, host=f"LOCALHOST:{server.server_port}").status == 200


def test_head_tells_the_length_and_sends_nothing(server):
    answer = ask(server, "HEAD")
    assert (answer.status, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(PAGE.encode())


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:{port}", "127.0.0.1", "localhost", "127.0.0.1:1",
     "127.0.0.1:{port}.evil.example", "127.0.0.1.evil.example:{port}", "0.0.0.0:{port}",
     "[::1]:{port}", "localhost:{port}, evil.example"],
)  # fmt: skip
def test_who_asks_by_another_name_gets_nothing(server, host):
    for path in ("/", "/other"):
        answer = ask(server, path=path, host=host and host.format(port=server.server_port))
        assert answer.status == 421
        assert PAGE.encode() not in answer.content


def test_two_host_headers_are_none(server):
    own = f"127.0.0.1:{server.server_port}"
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as line:
        line.sendall(f"GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n".encode())
        assert b" 421 " in line.makefile("rb").readline()


def test_on_http_s_own_port_browsers_leave_it_out():
    plain = SimpleNamespace(server_port=80)
    assert PageServer.hosts.fget(plain) == {
        "127.0.0.1", "localhost", "127.0.0.1:80", "localhost:80",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/favicon.ico", "/../etc/passwd", "/?a=1", "/%2e%2e/", "*", "/a b"],
)
def test_there_is_nothing_else(server, path):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as line:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n"
        line.sendall(request.encode())
        answer = line.makefile("rb").read()
    assert answer.split()[1] in (b"404", b"400")
    assert PAGE.encode() not in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get"])
def test_only_get_and_head_are_answered(server, method):
    answer = ask(server, method)
    assert answer.status == 501
    assert PAGE.encode() not in answer.content


@pytest.mark.parametrize("request_of", [{}, {"method": "HEAD"}, {"path": "/x"}, {"host": "evil"},
                                        {"method": "POST"}])  # fmt: skip
def test_every_answer_keeps_the_page_to_itself(server, request_of):
    headers = ask(server, **request_of).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["connect-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["img-src"] == "blob: data:"
    assert "http" not in headers["Content-Security-Policy"]
    assert "*" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Access-Control-Allow-Origin"] is None


def test_it_listens_on_the_loopback_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"
    for other in {info[4][0] for info in _own_addresses()} - {"127.0.0.1"}:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out|assign|denied"):
            socket.create_connection((other, server.server_port), timeout=2)


def _own_addresses():
    try:
        return socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except socket.gaierror:
        return [(0, 0, 0, "", ("127.0.0.2", 0))]


def test_a_port_in_use_is_a_message(server):
    with pytest.raises(FileProblem, match=rf"port {server.server_port} of .* leave --port away"):
        PageServer(PAGE, server.server_port)


def test_a_browser_that_hangs_up_and_one_that_says_nothing_hinder_nobody(capfd):
    with served("x" * 50_000_000) as busy:
        silent = socket.create_connection(("127.0.0.1", busy.server_port))
        with socket.create_connection(("127.0.0.1", busy.server_port)) as line:
            line.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{busy.server_port}\r\n\r\n".encode())
            line.recv(1000)
        assert ask(busy, "HEAD").status == 200
        silent.close()
    assert capfd.readouterr() == ("", "")


def test_a_browser_runs_the_page_and_lets_nothing_out(watch, light):
    still = io.BytesIO()
    Image.new("RGB", (8, 8)).save(still, format="png")
    viewer = BodyViewer(light, pictures=np.full((1, 32, 32, 3), 99, np.uint8))
    viewer._poster = still.getvalue()
    watched = watch()
    with served(page_text([viewer])) as server:
        watched.page.goto(server.address)
        watched.page.wait_for_selector(".hmr[data-pictures]")
        width = "document.querySelector('.hmr-photo').naturalWidth"
        watched.page.wait_for_function(f"{width} === 32")
        assert watched.errors == []
        said = watched.page.evaluate("fetch('/').then(() => 'sent', () => 'refused')")
    assert said == "refused"
    assert all("Content Security Policy" in error for error in watched.errors)
    watched.errors.clear()


# the command


@pytest.fixture
def hmrlab(hmrlab, monkeypatch):
    """Calls `hmrlab view`."""
    monkeypatch.setattr(BodyViewer, "picture", lambda _: b"")  # drawn in other tests
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    return partial(hmrlab, "view")


@pytest.fixture
def pose(tmp_path):
    """A file of parameters."""
    np.savez(tmp_path / "pose.npz", pose=np.full(72, 0.1), betas=np.ones(10))
    return tmp_path / "pose.npz"


@pytest.fixture
def mine(tmp_path):
    """A body file that is not hmrlab's."""
    with np.load(ASSETS / "free_body_light.npz", allow_pickle=False) as arrays:
        own = dict(arrays)
    own["v_template"] = own["v_template"] * np.float32(1.05)
    np.savez(tmp_path / "mine.npz", **own)
    return tmp_path / "mine.npz"


@pytest.fixture
def reader(monkeypatch):
    """A browser that reads the page once, and a person who then presses Ctrl-C."""
    pages = []
    # A shell's background jobs begin with Ctrl-C ignored, and tests may be such a job.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def opened(address: str) -> bool:
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                pages.append((address, answer.read().decode()))
        finally:
            os.kill(os.getpid(), signal.SIGINT)
        return True

    monkeypatch.setattr("webbrowser.open", opened)
    yield pages
    signal.signal(signal.SIGINT, before)


def test_the_command_serves_until_ctrl_c(hmrlab, pose, reader):
    done = hmrlab(pose, "--body", "free")
    assert done.code == 0, done.err
    ((address, page),) = reader
    assert address in done.out.splitlines()[0]
    assert address.startswith("http://127.0.0.1:")
    assert "on this machine only; Ctrl-C ends it" in done.out
    assert done.out.rstrip().endswith("Ended; the page is gone.")
    assert "own body" not in done.out
    assert "<title>pose.npz</title>" in page
    assert "hmrlab-body-" in page
    port = int(address.split(":")[-1].strip("/"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def test_a_body_of_one_s_own_is_served_with_a_word_and_written_only_if_asked(
    hmrlab, pose, mine, reader, tmp_path
):
    done = hmrlab(pose, "--body", mine)
    assert done.code == 0, done.err
    assert "holds your own body model" in done.out
    assert len(reader[0][1]) > 500_000
    done = hmrlab(pose, "--body", mine, "--out", tmp_path / "page.html")
    assert done.code == 1
    assert "--include-body" in done.err
    assert not (tmp_path / "page.html").exists()
    words = (pose, "--body", mine, "--out", tmp_path / "page.html", "--include-body")
    assert hmrlab(*words).code == 0
    assert (tmp_path / "page.html").stat().st_size > 500_000


def test_without_a_browser_nothing_is_opened(hmrlab, pose, monkeypatch):
    def refuse(_):
        raise AssertionError("opened a browser")

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", refuse)
    monkeypatch.setattr(PageServer, "serve_forever", stopped)
    done = hmrlab(pose, "--no-browser", "--port", 0)
    assert (done.code, done.err) == (0, "")


def test_a_page_is_written_of_several_files(hmrlab, pose, tmp_path):
    for name in ("a.obj", "b.glb"):
        trimesh.creation.box().export(tmp_path / name)
    page = tmp_path / "new" / "meshes.html"
    done = hmrlab(tmp_path / "a.obj", tmp_path / "b.glb", "--out", page)
    assert (done.code, done.out.strip()) == (0, str(page))
    assert '"name":"a.obj"' in page.read_text()
    assert '"name":"b.glb"' in page.read_text()
    done = hmrlab(pose, "--camera", "--detail", "full", "--out", page)
    assert done.code == 0
    assert '"frame":"camera"' in page.read_text()
    assert '"frame":"body"' in (hmrlab(pose, "--upright", "--out", page), page.read_text())[1]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["lost.npz"], 1, "no file at lost.npz"),
        (["me.jpg"], 1, "found .jpg"),
        (["{pose}", "--body", "lost.npz"], 1, "no body file at lost.npz"),
        (["{pose}", "--out", "{pose}"], 2, "does not end in .html"),
        (["{pose}", "--detail", "fine"], 2, "'fine' is not light or full"),
        (["{pose}", "--port", "70000"], 2, "less than or equal to 65535"),
        ([], 2, "Missing argument 'FILE'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(hmrlab, pose, words, code, says):
    done = hmrlab(*(word.format(pose=pose) for word in words))
    assert done.code == code
    assert says in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err


def test_the_command_says_which_port_is_taken(hmrlab, pose, server):
    done = hmrlab(pose, "--port", server.server_port, "--no-browser")
    assert done.code == 1
    assert done.err.startswith(f"hmrlab: port {server.server_port} of 127.0.0.1 cannot be had")
