import pytest
import torch

from checks.framing import arm_faces, close_up, in_frame
from hmrlab.bodies import load_body

FRAME = {"low": -1.2, "high": 1.2, "size": (120, 100)}


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.fixture(scope="module")
def people(body):
    """A short and a tall one."""
    betas = torch.zeros(2, 10)
    betas[:, 0] = torch.tensor([-2.0, 2.0])
    return body.vertices(torch.zeros(2, 72), betas)


def test_a_tall_person_looks_tall(body, people):
    drawn = (in_frame(people, body.faces, **FRAME) < 250).any(-1)
    rows = drawn.any(2).sum(1)
    metres = people[..., 1].amax(1) - people[..., 1].amin(1)
    assert rows == pytest.approx(metres.numpy() / 2.4 * 120, abs=2)


def test_the_frame_stays_where_the_camera_goes_round(body, people):
    front, side = ((in_frame(people, body.faces, yaw=a, **FRAME) < 250).any(-1) for a in (0, 90))
    assert abs(front.any(2).sum(1) - side.any(2).sum(1)).max() <= 1
    # From its left a body looks to the left of the picture: the toes are there.
    toes, heels = side[1, 60:, :50].sum(), side[1, 60:, 50:].sum()
    assert toes > heels


def test_a_body_that_reaches_out_of_the_frame_is_refused(body, people):
    with pytest.raises(ValueError, match=r"y from -0\.50 to 0\.50 m"):
        in_frame(people, body.faces, low=-0.5, high=0.5, size=(120, 100))


def test_the_close_up_fills_the_picture_with_the_arm(body):
    vertices = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))
    picture = close_up(vertices, body, size=(60, 160))[0]
    drawn = (picture < 250).any(-1)
    assert drawn.any(0).mean() > 0.85
    assert 0.1 < drawn.mean() < 0.6


def test_the_close_up_takes_the_colours_of_its_vertices(body):
    vertices = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))
    red = torch.tensor([1.0, 0, 0]).expand(body.n_vertices, 3)
    picture = close_up(vertices, body, size=(60, 160), colours=red)[0]
    inside = picture[..., 1] < 5
    assert inside.any()
    assert (picture[inside][:, 0] > 40).all()


def test_the_arm_lies_on_the_bodys_left(body):
    vertices = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))[0]
    assert (vertices[arm_faces(body).unique(), 0] > 0).all()
