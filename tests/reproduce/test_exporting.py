"""From a training to its ONNX file and its place in the table, by the commands."""

import re

import measure_costs
import pytest

from hmrlab import SCALES, preset, run_training
from hmrlab.files import FileProblem
from hmrlab.models.export import OnnxHMR
from hmrlab.reproduce.exporting import find_network

SMOKE = SCALES["smoke"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home in which one network was trained, for no longer than it takes."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(folder))
        run_training(preset("unpruned", SMOKE), device="cpu", progress=False)
        yield folder


@pytest.fixture
def hmrlab(home, hmrlab):
    """Calls the command, at home."""
    return hmrlab


def test_a_trained_network_is_exported_in_int8(hmrlab, tmp_path):
    out = tmp_path / "model.onnx"
    done = hmrlab("export", "unpruned", "--out", out, "--int8", "--scale", "smoke")
    assert done.code == 0, done.err
    assert OnnxHMR(out).info.precision == "int8"
    assert f"{out}: {out.stat().st_size / 1e6:.2f} MB" in done.out
    assert re.search(r"largest difference from torch's answers: \d", done.out)
    assert re.search(r"in onnxruntime, [\d.]+ \([\d.]+ to [\d.]+\) of torch's time", done.out)


def test_measured_and_scored_from_its_recorded_run(hmrlab, tmp_path):
    where = ("--scale", "smoke", "--folder", str(tmp_path))
    assert measure_costs.main(["pruning", *where, "--rounds", "1"]) == 0
    done = hmrlab("table", "pruning", *where)
    assert done.code == 0, done.err
    (unpruned,) = [line for line in done.out.splitlines() if line.startswith("| unpruned ")]
    (int8,) = [line for line in done.out.splitlines() if line.startswith("| unpruned_int8")]
    assert "2,733,101" in unpruned
    assert "(1.00)" in unpruned
    scores = [float(cell) for cell in int8.split("|")[9:13]]
    assert all(50 < score < 2000 for score in scores)
    assert "`hmrlab train channels_50 --scale smoke`" in done.out
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"pruning_smoke.json", "pruning_smoke.png", "runs.jsonl"}


def test_networks_are_found_by_name_and_file(home):
    model = find_network("unpruned", SMOKE, 0)
    assert model.n_iter == 3
    assert not model.training
    (file,) = home.glob("runs/trainings/*/model.pt")
    assert find_network(str(file), SMOKE, 0).encoder.name == "small"
    assert find_network("shipped", SMOKE, 0).encoder.name == "small"


def test_what_is_not_there_says_what_to_do(hmrlab, tmp_path):
    with pytest.raises(FileProblem, match="hmrlab train tuned --scale smoke --seed 0"):
        find_network("tuned", SMOKE, 0)
    with pytest.raises(FileProblem, match="there is no file"):
        find_network("none.pt", SMOKE, 0)
    done = hmrlab("export", "unprunt", "--out", tmp_path / "no.onnx")
    assert done.code == 2
    assert "Did you mean 'unpruned'" in " ".join(done.err.replace("│", " ").split())
    assert not (tmp_path / "no.onnx").exists()


def test_there_is_nothing_to_measure_without_a_run(home, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        measure_costs.main(["pruning", "--scale", "quick", "--folder", str(tmp_path)])
    assert ended.value.code == 1
    assert "hmrlab train unpruned --scale quick" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("~no-such-user/model.pt", "there is no user ~no-such-user"),
        ("model\0.pt", "null character"),
        ("x" * 5000 + ".pt", "its name is too long"),
    ],
)
def test_a_place_that_cannot_be_is_named(hmrlab, tmp_path, name, words):
    with pytest.raises(FileProblem, match=words):
        find_network(name, SMOKE, 0)


def test_a_file_of_weights_at_an_unknown_users_home_is_named_by_the_command(hmrlab, tmp_path):
    done = hmrlab("export", "~no-such-user/model.pt", "--out", tmp_path / "a.onnx")
    assert done.code == 1
    assert "there is no user ~no-such-user" in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())
