import json
import zlib

import numpy as np
import pytest

from hmrlab.bodies import load_body
from hmrlab.viewer.packing import Mesh, is_free, pack_body, pack_mesh


def unpacked(data):
    """The pack's arrays, read as js/src/pack.js reads them."""
    end = 4 + int.from_bytes(data[:4], "little")
    header = json.loads(data[4:end])
    whole = zlib.decompress(data[end:])
    arrays = {}
    for array in header["arrays"]:
        assert array["at"] % 4 == 0  # where the browser can read numbers in place
        values = np.frombuffer(whole, f"<{array['kind']}", array["length"], array["at"])
        if "delta" in array:
            values = np.cumsum(values.reshape(-1, array["delta"]), 1, dtype=values.dtype)
            values = values.reshape(len(array["steps"]), -1) * np.array(array["steps"])[:, None]
        arrays[array["name"]] = values
    return header["facts"], arrays


@pytest.mark.parametrize("which", ["light", "own"])
def test_a_packed_body_is_the_body_within_its_steps(which, light, own_body):
    body = light if which == "light" else own_body
    facts, arrays = unpacked(pack_body(body).data)
    n = body.n_vertices
    assert facts == {"parents": list(body.parents)}
    np.testing.assert_array_equal(arrays["template"], body.v_template.numpy().ravel())
    np.testing.assert_array_equal(arrays["faces"], body.faces.numpy().ravel())
    shapes = arrays["shapes"].reshape(10, 3, n).transpose(2, 1, 0)
    np.testing.assert_allclose(shapes, body.shapedirs.numpy(), rtol=0, atol=1.01e-6)
    weights = np.zeros((n, 24))
    rows = np.repeat(np.arange(n), arrays["skinCounts"])
    weights[rows, arrays["skinJoints"]] = arrays["skinWeights"] / 65535
    np.testing.assert_allclose(weights, body.weights.numpy(), rtol=0, atol=1e-5)
    if which == "own":
        correctives = arrays["correctives"].reshape(207, 3, n).transpose(0, 2, 1)
        wanted = body.posedirs.numpy().reshape(207, n, 3)
        np.testing.assert_allclose(correctives, wanted, rtol=0, atol=1.01e-6)


def test_a_free_body_is_known_by_its_content(light, own_body):
    assert is_free(light)
    assert is_free(load_body("free", "full"))
    assert not is_free(own_body)


def test_the_same_body_packs_to_the_same_bytes(light):
    first, second = pack_body(light), pack_body(load_body("free", "light"))
    assert first == second
    assert first.digest != pack_body(load_body("free", "full")).digest


def test_a_mesh_keeps_its_colours():
    mesh = Mesh(
        np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]),
        np.array([[1.0, 0, 0.5]] * 3),
    )  # fmt: skip
    facts, arrays = unpacked(pack_mesh(mesh).data)
    assert facts == {}
    assert arrays["tints"].tolist() == [255, 0, 128] * 3
    assert arrays["faces"].tolist() == [0, 1, 2]
