"""A page that asks for the viewer while a cell runs does not wait for the cell."""

import queue
import time

import pytest
from jupyter_client.manager import start_new_kernel

MAKE = """
from hmrlab.bodies import load_body
from hmrlab.viewer import BodyViewer
viewer = BodyViewer(load_body("free", "light"))
print(viewer.comm.comm_id, viewer._packs[0].digest)
"""
BUSY = 20  # seconds


@pytest.fixture
def kernel():
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=180)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def published(client, kind, seconds):
    """The next message of a kind, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        if message["msg_type"] == kind:
            return message
    return None


def test_a_body_comes_while_a_cell_runs(kernel):
    features = kernel.kernel_info(reply=True, timeout=60)["content"].get("supported_features", [])
    if "kernel subshells" not in features:
        pytest.skip("this ipykernel has no subshells; a page waits until the cell is done")
    kernel.execute(MAKE)
    comm, digest = published(kernel, "stream", 180)["content"]["text"].split()
    kernel.execute(f"import time; time.sleep({BUSY})")
    kernel.control_channel.send(kernel.session.msg("create_subshell_request", {}))
    subshell = kernel.get_control_msg(timeout=30)["content"]["subshell_id"]
    question = {"method": "custom", "content": {"ask": "body", "digest": digest}}
    message = kernel.session.msg("comm_msg", {"comm_id": comm, "data": question})
    message["header"]["subshell_id"] = subshell
    kernel.shell_channel.send(message)
    answer = published(kernel, "comm_msg", BUSY - 8)
    assert answer is not None
    assert answer["content"]["data"]["content"] == {"answer": "body", "digest": digest}
    assert len(answer["buffers"][0]) > 200_000
