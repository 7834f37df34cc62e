"""`hmrlab evaluate MODEL --on balance`: networks and fits on people whom four cameras saw."""

import hashlib

import pytest
from miniature_capture import NAMES, Miniature

from hmrlab.captures import balance
from hmrlab.captures.balance import open_balance
from hmrlab.ledger import Ledger
from hmrlab.reproduce import evaluations

FRAMES = 3


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    monkeypatch.setattr(evaluations, "save_worst", lambda *_: None)
    return tmp_path / "home"


@pytest.fixture
def capture(tmp_path):
    return Miniature.of(FRAMES).write(tmp_path / "Demo_SinglePerson", 9)


def evaluate(hmrlab, *words):
    return hmrlab("evaluate", *words, "--scale", "smoke", "--device", "cpu")


def test_networks_fits_and_blazepose_can_be_compared(home, capture, hmrlab):
    open_balance(capture, find=Miniature.of(FRAMES).finder(4), progress=False)
    errors = {}
    for words in (("shipped",), ("smplify",), ("shipped", "--fits"), ("mean",)):
        done = evaluate(hmrlab, *words, "--on", "balance")
        assert done.code == 0, done.err
        assert "SYNTHETIC" not in done.out
        assert "one man, one room" in done.out
        assert "BlazePose's own joints in space, of the same pictures: MPJPE" in done.out
        assert all(f"camera {name}: MPJPE" in done.out for name in NAMES)
    for record in Ledger(home / "runs" / "ledger.jsonl").records():
        assert record.metrics["balance/count"] == 4 * FRAMES
        assert record.metrics["balance/cam03/pa_mpjpe_mm"] > 0
        errors[record.settings["network"]] = record.metrics["balance/pa_mpjpe_mm"]
    weights = [r.settings["weights"] for r in Ledger(home / "runs" / "ledger.jsonl").records()]
    assert weights[0] == weights[2] != weights[1] != hashlib.sha256().hexdigest()[:16]
    assert list(errors) == ["shipped", "smplify", "shipped+fits", "mean"]
    # exact keypoints of a body that the prior knows nothing of; the pictures show no person
    assert errors["smplify"] < 0.7 * errors["shipped"]
    assert errors["smplify"] < errors["mean"]
    assert errors["shipped+fits"] < 0.8 * errors["shipped"]
    (table,) = (line for line in hmrlab("table", "evaluations").out.splitlines() if "+fits" in line)
    assert f"{errors['shipped+fits']:.1f} (" in table


def test_without_the_capture_the_command_that_brings_it_is_told(home, hmrlab):
    done = evaluate(hmrlab, "shipped", "--on", "balance")
    assert done.code == 1
    assert "pip download pose2sim" in done.err
    assert not (home / "runs").exists()


def test_a_set_without_detected_keypoints_has_nothing_to_fit_to(hmrlab):
    done = evaluate(hmrlab, "smplify", "--on", "twin:mpi-inf-3dhp")
    assert done.code == 2
    assert "no detected keypoints" in done.err.replace("│", "").replace("\n", " ")


def test_the_command_makes_the_set_and_says_how_well_the_cameras_agree(
    capture, hmrlab, monkeypatch
):
    class Eyes:
        def __init__(self, variant):
            self.find = Miniature.of(FRAMES).finder(4)

    monkeypatch.setattr(balance, "ByEyes", Eyes)
    done = hmrlab("data", "capture", capture)
    assert done.code == 0, done.err
    assert "12 views of one person" in done.out
    assert "right_wrist       100 %" in done.out
    assert "left and right put right in 0 of 12 views" in done.out
    assert "principal points moved: cam01 by (" in done.out
    assert "looking at balance" in done.err
