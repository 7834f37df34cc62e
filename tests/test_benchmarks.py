import importlib
import json
from pathlib import Path

import pytest
import torch
from gpu_merge import SCRIPTS
from gpu_tasks import FIGURES

from hmrlab.files import FileProblem

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
TINY = {
    "keypoint_body": "--batch 2 --rounds 1 --seconds 0 --bodies light --no-compile",
    "fitting": "--count 3 --batch 2 --rounds 1 --steps 2 --scale smoke",
    "loop": "--rounds 1 --steps 1 --scale smoke --device cpu",
    "packing": "--people 4 --size 120 --rounds 1",
    "gpu": "--people 4 --size 120 --batch 2 --encoder small --rounds 1 --seconds 0 --workers 0 "
    "--device cpu",
    "people": "--rounds 1 --seconds 0 --batch 2 --resolution 32 --device cpu",
    "eyes": "--crops 2 --steps 1 --rounds 1",
    "viewer": "--rounds 1 --parts weight",  # the rest needs a browser, and minutes
}
PEERS = {
    "keypoint_body": "smplx",
    "fitting": "peer: Adam",
    "loop": "peer: no fits",
    "packing": "peer: SPIN's way",
    "gpu": "peer: one batch",
    "people": "peer: as for a stored set",
    "eyes": "peer: torch",
    "viewer": "peer: k3d",
}
README = "above\n\n<!-- {0}: written by make bench -->\n<!-- end of {0} -->\n\nbelow\n"


@pytest.fixture
def load(monkeypatch):
    """Import a benchmark as its command does, with its own folder first in the path."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.mark.parametrize("name", TINY)
def test_the_readme_shows_the_recorded_figures(name, load):
    path = BENCHMARKS / "results" / f"{name}.json"
    readme = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    shown = load("_common").block(name, readme).strip()
    if path.exists() or name != "gpu":
        recorded = json.loads(path.read_text(encoding="utf-8"))
        assert shown == load(name).table(recorded).strip()
    else:
        assert shown == "Not measured yet."


@pytest.mark.parametrize("task", SCRIPTS)
def test_the_readme_shows_a_gpus_figures(task, load):
    path = BENCHMARKS / "results" / f"{FIGURES[task]}.json"
    readme = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    shown = load("_common").block(FIGURES[task], readme).strip()
    if path.exists():
        recorded = json.loads(path.read_text(encoding="utf-8"))
        assert shown == load(SCRIPTS[task]).table(recorded).strip()
    else:
        assert shown == "Not measured yet."


@pytest.mark.parametrize("name", TINY)
def test_a_benchmark_runs_from_end_to_end_and_publishes(name, load, tmp_path, monkeypatch):
    if name == "viewer":
        pytest.importorskip("k3d", reason="k3d, the viewer's peer, is not installed")
        # a still picture says nothing here, and may take long: it looks for a working renderer
        monkeypatch.setattr("hmrlab.viewer.BodyViewer.picture", lambda _: b"")
    common, benchmark = load("_common"), load(name)
    monkeypatch.setattr(
        benchmark, "publish", lambda *given: common.publish(*given, folder=tmp_path)
    )
    (tmp_path / "README.md").write_text(README.format(name), encoding="utf-8")
    result = benchmark.main([*TINY[name].split(), "--write"])
    assert json.loads((tmp_path / "results" / f"{name}.json").read_text()) == result
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert common.block(name, readme).strip() == benchmark.table(result).strip()
    peer, ours = result["rows"][:2]
    assert peer["way"].startswith(PEERS[name])
    assert peer["ratio"] == {"median": 1, "least": 1, "most": 1}
    assert ours["ratio"]["median"] > 0


def test_a_card_can_be_fed_with_people_that_it_makes_itself(load, tmp_path):
    tiny = "--fresh --batch 2 --encoder small --rounds 1 --seconds 0 --device cpu"
    result = load("gpu").main([*tiny.split(), "--json", str(tmp_path / "gpu.json")])
    assert json.loads((tmp_path / "gpu.json").read_text()) == result
    assert [row["way"] for row in result["rows"]] == [
        "peer: one batch, already there", "people made on the card"
    ]  # fmt: skip
    assert all(row["pictures"]["median"] > 0 for row in result["rows"])
    assert "people made on the card" in load("gpu").table(result)


def test_the_loop_is_measured_as_it_is_asked_for_and_says_so(load):
    loop = load("loop")
    given = loop.main(f"{TINY['loop']} --batch 8 --precision bf16".split())
    used = {name: given["settings"][name] for name in ("encoder", "batch", "precision")}
    assert used == {"encoder": "small", "batch": 8, "precision": "bf16"}
    assert "Encoder small, batches of 8, bf16." in loop.table(given)
    assert [row["way"] for row in given["rows"]] == list(loop.ways_on(torch.device("cpu")))
    assert list(loop.ways_on(torch.device("cuda", 0)))[-1] == "fits in the loop, not replayed"


def test_fits_in_the_loop_are_timed_on_fresh_people_too(load, monkeypatch):
    loop = load("loop")
    monkeypatch.setattr(loop, "READY", 1)
    result = loop.main([*TINY["loop"].split(), "--fresh"])
    assert [row["way"] for row in result["rows"]] == list(loop.WAYS)
    assert "People made on the device" in loop.table(result)


def test_both_adams_of_the_fitting_benchmark_reach_the_same(load):
    rows = load("fitting").main(TINY["fitting"].split())["rows"]
    for start in ("cold", "warm"):
        peer, ours = [row for row in rows if row["start"] == start][:2]
        assert ours["objective_mean"] == pytest.approx(peer["objective_mean"], rel=1e-3)


def test_a_way_that_gives_other_keypoints_than_smplx_is_not_timed(load):
    points, gradient = torch.zeros(1, 49, 3), torch.ones(1, 10)
    with pytest.raises(ValueError, match="not the same as smplx"):
        load("keypoint_body").largest_differences(
            lambda: (points + 0.01, gradient, gradient), lambda: (points, gradient, gradient)
        )


def test_without_k3d_or_a_browser_the_viewers_benchmark_says_what_is_missing(load, monkeypatch):
    viewer, browser = load("viewer"), load("_browser")
    monkeypatch.setattr(browser, "find_spec", lambda name: object())
    monkeypatch.setenv("HMRLAB_CHROMIUM", "no such program")
    with pytest.raises(SystemExit, match=r"no browser found \(no such program\)"):
        browser.find_chromium()
    monkeypatch.setattr(viewer, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="k3d is missing"):
        viewer.main(["--parts", "weight"])


def test_publishing_replaces_its_own_block_and_nothing_else(load, tmp_path):
    (tmp_path / "README.md").write_text(README.format("fitting"), encoding="utf-8")
    for text in ("first\n\nthing", "second"):
        load("_common").publish("fitting", {}, text, folder=tmp_path)
        begin, end = "<!-- fitting: written by make bench -->", "<!-- end of fitting -->"
        expected = f"above\n\n{begin}\n\n{text}\n\n{end}\n\nbelow\n"
        assert (tmp_path / "README.md").read_text(encoding="utf-8") == expected


def test_a_readme_without_the_block_is_refused(load):
    with pytest.raises(FileProblem, match="one block for fitting"):
        load("_common").block("fitting", "# Benchmarks\n")
