"""One command for a borrowed GPU, rehearsed as a whole on the CPU; and merging what it left.

One file, so that one process makes the rehearsal.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from gpu_merge import main as merge
from gpu_merge import merge_folder
from rehearsal import CARRIED, ROOT, TOOLS

from hmrlab.files import FileProblem
from hmrlab.ledger import Ledger, RunRecord
from hmrlab.tables.runs import read_references


@pytest.fixture
def tasks(tools):
    import gpu_tasks

    return gpu_tasks


def rows(folder):
    return [RunRecord.from_json(line) for line in (folder / "rows.jsonl").open()]


def test_a_dry_run_does_the_whole_queue(dry, tasks):
    queue = json.loads((dry.folder / "queue.json").read_text())
    outcomes = {task["name"]: task["outcome"] for task in queue["tasks"]}
    assert outcomes == {task.name: "done" for task in tasks.all_tasks(dry=True)}, dry.said
    assert dry.code == 0
    assert queue["dry"] is True
    assert "torch" in queue["versions"]
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(\+dirty)?", queue["commit"])
    benchmarks = json.loads((dry.folder / "benchmarks.json").read_text())
    assert set(benchmarks) == set(tasks.FIGURES)


def test_a_killed_call_goes_on_and_repeats_nothing(dry, tasks):
    found = rows(dry.folder)
    wanted = {(t.run, t.seed) for t in tasks.all_tasks(dry=True) if t.kind == tasks.TRAINING}
    assert Counter((row.name, row.seed) for row in found) == Counter(wanted)
    assert dry.rows_at_kill
    assert (dry.folder / "rows.jsonl").read_text().startswith(dry.rows_at_kill)
    assert dry.left_at_kill == []
    assert "card_resnet50:" not in dry.said  # trained before the kill


def test_rows_say_how_fast_and_how_many_steps(dry):
    for row in rows(dry.folder):
        assert row.settings["steps_used"] >= 2
        assert row.settings["fresh"]["labelled"]
        assert row.metrics["images_per_second"] > 0


def test_what_comes_back_is_small_enough_to_be_carried(dry):
    files = list(dry.folder.iterdir())
    assert len(files) <= 8
    assert all(path.stat().st_size <= 16 * 2**20 for path in files)
    assert sum(path.stat().st_size for path in files) <= 64 * 2**20
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in files)
    assert sum(path.suffix == ".part" for path in files) == 4


def test_the_profile_says_where_the_time_goes(dry):
    found = json.loads((dry.folder / "benchmarks.json").read_text())["profile"]
    assert found["step_milliseconds"] > 0
    assert found["families"]["convolution"] > 0
    assert len(found["kernels"]) == 25
    assert min(found["ceilings"].values()) > 0
    assert min(found["floors_milliseconds"].values()) > 0


def test_the_queue_is_listed_at_once_and_without_torch(dry):
    began = time.monotonic()
    program = (
        f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import gpu; "
        f"gpu.main(['--list', '--dry-run', '--folder', {str(dry.folder)!r}]); "
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    *listed, count, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    assert all(line.split()[2:] == ["done"] for line in listed)
    assert count == f"{len(listed)} of {len(listed)} tasks are done."
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("ended", "whole", "commit", "expected"),
    [
        ({"passed": 9, "skipped": 1}, True, "abc", True),
        ({"passed": 9, "failed": 1}, True, "abc", False),
        ({"passed": 9}, False, "abc", False),
        ({"passed": 9}, True, "older", False),
    ],
)
def test_tests_count_as_done_where_all_passed_at_this_commit(tasks, ended, whole, commit, expected):
    result = {"ended": ended, "whole": whole, "provenance": {"commit": commit}}
    assert tasks.counts("tests", result, "abc") is expected
    assert tasks.counts("busy", result, "abc") is True
    assert tasks.counts("tests", {}, "abc") is False


def test_what_is_recorded_is_not_wanted_again(tasks, tmp_path):
    row = {"name": "card_resnet50", "seed": 1, "settings": {"scale": {"name": "gpu"}}}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n{{torn\n[]\n")
    assert tasks.recorded([tmp_path / "rows.jsonl"], dry=False) == {"card_resnet50@1"}
    assert tasks.recorded([tmp_path / "rows.jsonl", tmp_path / "none"], dry=True) == set()


def test_the_queue_names_trainings_that_there_are(tasks):
    for task in tasks.all_tasks():
        if task.kind == tasks.TRAINING:
            run = tasks.run_of(task, dry=False)
            assert (run.seconds, run.init_from, run.seed) == (task.seconds, task.base, task.seed)
    with pytest.raises(ValueError, match="no task card_vgg"):
        tasks.chosen_tasks(tasks.all_tasks(), ["card_vgg"])


@pytest.mark.parametrize(("seconds", "outcome"), [(0.0, "not reached"), (1000.0, "done")])
def test_no_task_is_begun_that_does_not_fit(seconds, outcome, gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "prepare", lambda options, began: ready(gpu, options, began))
    monkeypatch.setattr(gpu, "attempt", lambda call, task: gpu.Told("done", 1.0))
    monkeypatch.setattr(gpu, "start_sets", lambda call, tasks: None)
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    words = ["--dry-run", "--folder", str(tmp_path), "--minutes", str(seconds / 60)]
    assert gpu.main([*words, "--only", "tests", "card_resnet50"]) == 0
    queue = json.loads((tmp_path / "queue.json").read_text())
    assert {task["outcome"] for task in queue["tasks"]} == {outcome}


@pytest.mark.parametrize(("seconds", "order"), [(1000, ["card_resnet50", "card_pruned"]), (5, [])])
def test_a_training_whose_base_is_not_at_hand_has_it_made_first(
    seconds, order, gpu, tmp_path, monkeypatch
):
    asked = []
    base = next(task for task in gpu.all_tasks() if task.name == "card_resnet50")
    monkeypatch.setattr(gpu, "lacking_base", lambda call, task: base)
    monkeypatch.setattr(gpu, "prepare", lambda options, began: ready(gpu, options, began))
    monkeypatch.setattr(gpu, "start_sets", lambda call, tasks: None)
    monkeypatch.setattr(
        gpu, "attempt", lambda call, task: asked.append(task.name) or gpu.Told("done", 1.0)
    )
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    words = ["--dry-run", "--folder", str(tmp_path), "--minutes", str(seconds / 60)]
    assert gpu.main([*words, "--only", "card_pruned"]) == 0
    assert asked == order


def test_rows_of_a_training_made_anew_take_the_old_ones_place(left, home, tmp_path):
    into = tmp_path / "figures"
    merge_folder(left, into)
    rows = (left / "rows.jsonl").read_text().splitlines()
    later = rows[0].replace('"date": "2', '"date": "3')
    (left / "rows.jsonl").write_text("\n".join([later, *rows[1:]]) + "\n")
    said = merge_folder(left, into)
    assert any(line.startswith(f"1 new rows of {len(rows)}") for line in said)
    assert len(read_references(into)) == len(rows)
    assert json.loads(later)["date"] in {row.date for row in read_references(into)}
    merge_folder(left, into)
    assert len(read_references(into)) == len(rows)


def ready(gpu, options, began):
    folder = gpu.Folder(options.folder, dry=True)
    return gpu.Call(options, folder, options.folder, began + 60 * options.minutes, 1.0)


def test_a_damaged_part_of_an_earlier_call_is_named(gpu, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    (tmp_path / "weights-run.1of2.part").write_bytes(b"no part")
    assert gpu.main(["--dry-run", "--folder", str(tmp_path), "--only", "tests"]) == 2
    assert "weights-run.1of2.part is no part of a file of ours" in capsys.readouterr().err


def test_a_task_that_hangs_or_crashes_is_ended_alone(tools, tmp_path):
    import gpu_children

    slow = gpu_children.Child(time.sleep, (60,), tmp_path / "slow.log").wait(0.3)
    assert (slow.state, slow.seconds < 10) == (gpu_children.LATE, True)
    kill = (signal.SIGKILL,)
    dead = gpu_children.Child(signal.raise_signal, kill, tmp_path / "dead.log").wait(30)
    assert dead.state == gpu_children.FAILED
    assert "signal 9" in dead.note
    wrong = gpu_children.Child(int, ("many",), tmp_path / "wrong.log").wait(30)
    assert "invalid literal for int() with base 10: 'many'" in wrong.note


def test_the_carried_packages_are_named_with_their_locked_versions():
    page = (TOOLS / "README.md").read_text()
    lock = (ROOT / "requirements.lock").read_text()
    for name in CARRIED:
        (version,) = re.findall(rf"^{name}==(\S+)", lock, re.MULTILINE)
        assert f"{name}=={version}" in page, name


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def left(dry, tmp_path):
    """The dry run's folder, to be changed; the large parts are shared."""
    return shutil.copytree(dry.folder, tmp_path / "left", copy_function=linked)


def linked(source, target):
    (os.link if source.endswith(".part") else shutil.copy)(source, target)


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_all_comes_once(left, home, tmp_path):
    into = tmp_path / "figures"
    said = merge_folder(left, into)
    rows = read_references(into)
    assert len(rows) == len((left / "rows.jsonl").read_text().splitlines())
    assert any("figures of a dry run are not kept" in line for line in said)
    with np.load(into / "histories.npz") as histories:
        folders = {name.partition("/")[0] for name in histories.files}
    assert folders == {row.artifacts["folder"].rpartition("/")[2] for row in rows}
    (weighed,) = Ledger(home / "runs" / "ledger.jsonl").records()
    assert weighed.name == "card_resnet50_long"
    assert {path.name for path in (home / weighed.artifacts["folder"]).iterdir()} == {
        "model.pt", "history.npz",
    }  # fmt: skip
    before = contents(into), contents(home)
    merge_folder(left, into)
    assert (contents(into), contents(home)) == before


def test_merged_weights_are_a_networks(left, home, tools, tmp_path):
    import gpu_tasks

    from hmrlab import find_result

    merge_folder(left, tmp_path / "figures")
    task = gpu_tasks.all_tasks(dry=True)[-1]
    result = find_result(gpu_tasks.run_of(task, dry=True))
    assert sum(value.numel() for value in result.model().parameters()) == 26_977_501
    assert result.history().steps[-1] == result.record.settings["steps_used"]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rename_run(path):
    path.write_text(path.read_text().replace('"name": "card_pruned"', '"name": "card_vgg"'))


def no_origin(path):
    path.write_text(json.dumps({"loop": {"rows": []}}))


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("rows.jsonl", cut, r"rows\.jsonl, line \d+, is no record of a run"),
        ("rows.jsonl", rename_run, r"rows\.jsonl, line \d+: there is no training of this name"),
        ("histories.npz", cut, r"histories\.npz"),
        ("benchmarks.json", cut, r"benchmarks\.json"),
        ("benchmarks.json", no_origin, r"benchmarks\.json: 'loop' is no figure with its origin"),
        ("queue.json", cut, r"queue\.json"),
        ("queue.json", os.unlink, r"has no queue\.json: tools/gpu\.py did not make it"),
        ("notes.txt", lambda path: path.write_text("mine"), r"notes\.txt is no file that"),
        ("2of4", os.unlink, r"lacks weights-.*\.2of4\.part; copy it there"),
    ],
)
def test_what_is_damaged_or_foreign_is_refused_and_nothing_is_written(
    name, damage, says, left, home, tmp_path
):
    damage(next(left.glob(f"*{name}*"), left / name))
    with pytest.raises(FileProblem, match=says):
        merge_folder(left, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()
    assert not home.exists()


def test_a_dry_run_never_comes_among_real_results(left, home, tmp_path):
    line = (left / "rows.jsonl").read_text().splitlines()[0]
    real = tmp_path / "figures" / "runs.jsonl"
    real.parent.mkdir()
    real.write_text(line.replace('"name": "dry"', '"name": "gpu"') + "\n")
    with pytest.raises(FileProblem, match="of a dry run, whose scores mean nothing"):
        merge_folder(left, real.parent)


def test_figures_of_a_gpu_go_beside_the_benchmarks(dry, home, tmp_path, monkeypatch):
    """As if the dry run's had been measured on a GPU, into a checkout of two files."""
    left = tmp_path / "left"
    left.mkdir()
    found = json.loads((dry.folder / "benchmarks.json").read_text())
    (left / "benchmarks.json").write_text(json.dumps({"profile": found["profile"]}))
    (left / "queue.json").write_text('{"dry": false}')
    place = tmp_path / "checkout" / "benchmarks"
    place.mkdir(parents=True)
    (place / "_common.py").touch()
    (place / "README.md").write_text("no blocks")
    monkeypatch.setattr("gpu_merge.ROOT", tmp_path / "checkout")
    merge_folder(left, tmp_path / "figures")
    kept = json.loads((place / "results" / "gpu_profile.json").read_text())
    assert kept["step_milliseconds"] == found["profile"]["step_milliseconds"]
    assert (place / "results" / "gpu_profile_trace.json.gz").read_bytes()[:2] == b"\x1f\x8b"
    before = contents(place)
    merge_folder(left, tmp_path / "figures")
    assert contents(place) == before


def test_the_command_takes_over_a_folder(left, home, capsys, tmp_path):
    words = [str(left), "--folder", str(tmp_path / "figures")]
    assert merge(words) == 0
    assert "new rows of" in capsys.readouterr().out
    (left / "notes.txt").touch()
    with pytest.raises(SystemExit) as ended:
        merge(words)
    assert ended.value.code == 1
    assert "notes.txt is no file that tools/gpu.py leaves" in capsys.readouterr().err
