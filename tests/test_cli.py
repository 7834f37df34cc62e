import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab import TrainingDivergedError, doctor
from hmrlab.bodies import load_body
from hmrlab.doctor import Finding
from hmrlab.ledger import Ledger, record_run

CHAPTER = """# %% [markdown]
# # A chapter

# %% tags=["parameters"]
scale: str = "laptop"
seed: int = 0

# %%
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Nothing here writes into the checkout."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HMRLAB_HOME", str(folder))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    return folder


def write_chapters(folder: Path, **bodies: str) -> Path:
    (folder / "source").mkdir(parents=True)
    for name, body in bodies.items():
        (folder / "source" / f"{name[1:]}.py").write_text(CHAPTER + body)
    return folder


def test_help_lists_the_commands_and_loads_nothing_heavy():
    program = (
        "import sys\n"
        "sys.argv = ['hmrlab', '--help']\n"
        "from hmrlab import cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'matplotlib', 'papermill') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    for command in ("doctor", "run", "train", "fit", "body", "data", "table"):
        assert f"│ {command} " in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_doctor_prints_a_line_each_with_the_remedy(hmrlab, monkeypatch):
    findings = [
        Finding("torch", True, "2.14.1 on the CPU"),
        Finding("data", False, "damaged: x", "made again on next use", essential=False),
    ]
    monkeypatch.setattr(doctor, "examine", lambda quick: findings)
    done = hmrlab("doctor")
    assert done.out.splitlines() == [
        "OK       torch       2.14.1 on the CPU",
        "MISSING  data        damaged: x",
        "                     -> made again on next use",
    ]
    assert done.code == 0


def test_doctor_fails_where_something_essential_is_missing(hmrlab, monkeypatch):
    monkeypatch.setattr(
        doctor, "examine", lambda quick: [Finding("torch", False, "none", "install it")]
    )
    assert hmrlab("doctor").code == 1


def test_run_executes_reports_and_says_where_to_look(hmrlab, home, tmp_path):
    folder = write_chapters(tmp_path / "n", _00_one="print(scale)\n")
    done = hmrlab("run", "--scale", "smoke", "--notebooks", str(folder))
    assert done.code == 0, done.out + done.err
    assert "[1/1] 00_one" in done.out
    assert "1 of 1 notebooks passed" in done.out
    (report,) = (home / "runs").glob("*/index.html")
    assert done.out.replace("\n", "").endswith(f"Look at {report}")


def test_run_ends_with_1_where_a_notebook_failed(hmrlab, tmp_path, home):
    folder = write_chapters(tmp_path / "n", _00_one="1 / 0\n")
    done = hmrlab("run", "0", "--scale", "smoke", "--notebooks", str(folder))
    assert done.code == 1
    assert "ZeroDivisionError: division by zero" in done.out
    assert "0 of 1 notebooks passed, 1 failed" in done.out
    assert list((home / "runs").glob("*/index.html"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--scale", "big"), "unknown scale 'big'; choose one of smoke, quick"),
        (("data", "make", "--scale", "big"), "unknown scale 'big'"),
        (("train", "with_smp"), "Did you mean 'with_smpl'?"),
        (("train", "with_smpl", "--device", "gpu"), "is not one of auto, cpu, cuda, cuda:N"),
        (("train", "with_smpl", "--batch-size", "many"), "at least 1, or auto; not 'many'"),
        (("nonsense",), "No such command 'nonsense'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(hmrlab, words, said):
    done = hmrlab(*words)
    assert done.code == 2
    assert " ".join(said.split()) in " ".join(done.err.replace("│", " ").split())


def test_train_lists_the_runs(hmrlab):
    done = hmrlab("train", "--list")
    assert done.code == 0
    lines = {line.split("|")[1].strip(): line for line in done.out.splitlines() if "|" in line}
    diary = [name for name in lines if name.startswith("train_")]
    assert diary[:7] == [
        "train_test", "train_add_regression", "train_add_regression2", "train_add_smpl_loss",
        "train_add_smpl_loss2", "train_add_smpl_loss3", "train_add_smpl_loss4",
    ]  # fmt: skip
    assert lines["keypoints_only"].rstrip(" |").endswith("-")


def test_the_list_shows_what_has_been_run(hmrlab):
    assert hmrlab("data", "make", "--scale", "smoke").code == 0
    assert hmrlab("train", "keypoints_only", "--scale", "smoke").code == 0
    done = hmrlab("train", "--list", "--scale", "smoke")
    results = {
        line.split("|")[1].strip(): line.split("|")[3].strip()
        for line in done.out.splitlines()
        if "|" in line
    }
    assert float(results["keypoints_only"]) > 0
    assert results["train_add_regression"] == results["keypoints_only"]  # equal settings
    assert results["with_smpl"] == "-"
    assert "-" in hmrlab("train", "--list", "--scale", "smoke", "--seed", "1").out


@pytest.mark.parametrize(("reused", "words"), [(True, "From the ledger:"), (False, "Trained:")])
def test_train_runs_the_named_one_and_shows_its_scores(hmrlab, monkeypatch, reused, words):
    asked = []

    def run_training(run, *, device, allow_download):
        asked.append((run.name, run.scale.name, run.seed, device, allow_download))
        return SimpleNamespace(reused=reused, record=a_record(), folder=Path("runs/x"))

    monkeypatch.setattr("hmrlab.runs.run_training", run_training)
    words_typed = ("train", "with_smpl", "--scale", "smoke", "--seed", "3", "--device", "cpu")
    done = hmrlab(*words_typed)
    assert done.code == 0, done.err
    assert asked == [("with_smpl", "smoke", 3, "cpu", False)]
    assert words in done.out
    assert "studio (synthetic): MPJPE, mm" in done.out
    assert hmrlab(*words_typed, "--allow-download").code == 0
    assert asked[-1][-1] is True


def test_missing_imagenet_weights_are_a_message_not_a_random_start(hmrlab, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    done = hmrlab("train", "half_resnet18_imagenet", "--scale", "smoke")
    assert done.code == 1
    assert "ImageNet weights of resnet18 are not in" in done.err
    assert "--allow-download" in done.err


def test_a_training_that_diverges_is_a_message(hmrlab, monkeypatch):
    def run_training(run, **_):
        raise TrainingDivergedError("the loss became nan at step 3")

    monkeypatch.setattr("hmrlab.runs.run_training", run_training)
    done = hmrlab("train", "with_smpl", "--scale", "smoke")
    assert (done.code, done.err) == (1, "hmrlab: the loss became nan at step 3\n")


def test_out_of_memory_names_the_remedy(hmrlab, monkeypatch):
    asked = []

    def run_training(run, **_):
        asked.append("auto" if run.find_micro_batch else run.batch_size)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore words")

    monkeypatch.setattr("hmrlab.runs.run_training", run_training)
    done = hmrlab("train", "with_smpl", "--scale", "smoke", "--batch-size", "48")
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "Try the same with --batch-size auto: smaller parts, the same step."
    )
    assert hmrlab("train", "with_smpl", "--batch-size", "auto").code == 1
    assert asked == [48, "auto"]


def test_a_full_disk_is_a_message(hmrlab, monkeypatch):
    def run_training(run, **_):
        raise OSError(errno.ENOSPC, "No space left on device", "model.pt")

    monkeypatch.setattr("hmrlab.runs.run_training", run_training)
    done = hmrlab("train", "with_smpl", "--scale", "smoke")
    assert done.code == 1
    assert done.err.startswith("hmrlab: the disk is full (model.pt). Free some space")


def test_body_info_checks_a_file(hmrlab, tmp_path):
    assert "24 joints, 10 betas" in hmrlab("body", "info").out
    for name, content in (("cut.npz", b"PK\x03\x04 cut"), ("text.npz", b"hello")):
        (tmp_path / name).write_bytes(content)
        done = hmrlab("body", "info", str(tmp_path / name))
        assert done.code == 1
        assert done.err.startswith("hmrlab: ")
        assert name in done.err
        assert "Traceback" not in done.err
    assert "no body file at" in hmrlab("body", "info", str(tmp_path / "gone.npz")).err


def test_data_is_made_and_its_damage_found(hmrlab, home):
    assert hmrlab("data", "status").out.count("not made yet") == 16
    done = hmrlab("data", "make", "--scale", "smoke")
    assert done.code == 0, done.err
    lines = [line for line in hmrlab("data", "status").out.splitlines() if "smoke" in line]
    assert [line.split("|")[4].strip() for line in lines] == ["there"] * 4
    (records,) = home.glob("data/synthetic/wild-test-*/records.npz")
    records.unlink()
    assert "records.npz is missing" in hmrlab("data", "status").out
    finding = doctor.look_at_data()
    assert not finding.ok
    assert not finding.essential
    assert "damaged: wild-test" in finding.words


def test_the_table_of_runs(hmrlab, home):
    assert "No runs recorded" in hmrlab("table", "runs").out
    ledger = Ledger(home / "runs" / "ledger.jsonl")
    ledger.append(a_record())
    ledger.append(a_record())
    shown = hmrlab("table", "runs").out
    assert shown.count("| keypoints_only") == 1
    assert hmrlab("table", "runs", "--all").out.count("| keypoints_only") == 2


def test_the_table_of_parameters_meets_the_diary(hmrlab, home):
    lines = [line.split("|") for line in hmrlab("table", "parameters").out.splitlines()]
    row = next(line for line in lines if line[1].strip() == "mobilenet_v2:logits")
    assert [cell.strip() for cell in row[4:7]] == ["5,901,189", "5,901,189", "equal"]
    assert not home.exists()  # counts only: nothing trained, nothing recorded


def test_a_photo_is_fitted_into_a_folder(hmrlab, tmp_path):
    photo, keypoints = a_photo(tmp_path)
    done = hmrlab("fit", "--photo", photo, "--keypoints", keypoints, "--out", str(tmp_path / "out"))
    assert done.code == 0, done.err
    first, second = done.out.splitlines()[:2]
    assert first.startswith("person_0: 25 of 25 keypoints seen")
    assert second.startswith("person_1: left out, 0 keypoints")
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"overlay.png", "scene.glb", "person_0.npz"} <= made


def test_a_photo_that_cannot_be_fitted_is_a_message(hmrlab, tmp_path):
    photo, keypoints = a_photo(tmp_path)
    assert "--keypoints and --out missing" in " ".join(hmrlab("fit", "--photo", photo).err.split())
    nobody = tmp_path / "nobody.json"
    nobody.write_text(json.dumps({"people": [{"pose_keypoints_2d": [0] * 75}]}))
    out = str(tmp_path / "out")
    done = hmrlab("fit", "--photo", photo, "--keypoints", str(nobody), "--out", out)
    assert done.code == 1
    assert done.err.startswith(f"hmrlab: {nobody}: nobody can be fitted (person 0: 0 keypoints")
    done = hmrlab("fit", "--photo", keypoints, "--keypoints", keypoints, "--out", out)
    assert (done.code, "cannot be read as a picture" in done.err) == (1, True)
    assert not Path(out).exists()


def test_the_people_of_a_set_are_fitted_once(hmrlab, home):
    done = hmrlab("fit", "wild", "--scale", "smoke", "--starts", "1")
    assert done.code == 0
    assert "128 of 128 people fitted" in done.out
    path = Path(done.out.split()[-1])
    assert path.parent == home / "data" / "fits"
    written = path.stat().st_mtime_ns
    assert hmrlab("fit", "wild", "--scale", "smoke", "--starts", "1").code == 0
    assert path.stat().st_mtime_ns == written
    assert len(list(path.parent.iterdir())) == 1


def test_a_record_file_is_fitted_where_its_people_have_no_labels(hmrlab, make_records, tmp_path):
    records = make_records(5)
    flags = np.array([0, 1, 0, 0, 1], bool)
    path = replace(records, has_smpl=flags).save(tmp_path / "mine.npz")
    done = hmrlab("fit", str(path), "--starts", "1", "--out", str(tmp_path / "fits"))
    assert done.code == 0
    assert "3 of 5 people fitted" in done.out
    assert (tmp_path / "fits").is_dir()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere",), "no set 'nowhere'; there are studio, wild"),
        (("lost.npz",), "no record file at lost.npz"),
        (("wild", "--photo", "me.jpg"), "give a set or a photo, not both"),
    ],
)
def test_what_is_no_set_is_a_message(hmrlab, words, says):
    done = hmrlab("fit", *words)
    assert done.code != 0
    assert says in " ".join(done.err.replace("│", " ").split())


def a_photo(folder: Path) -> tuple[str, str]:
    """A blank photo, with the keypoints of one person and of another who is not seen."""
    points = load_body("free", "light").keypoints(torch.zeros(1, 72), torch.zeros(1, 10))[0, :25]
    places = 100 * points[:, :2] * torch.tensor([1.0, -1.0]) + torch.tensor([160.0, 120.0])
    seen = torch.cat([places, torch.ones(25, 1)], 1).flatten().tolist()
    people = [{"pose_keypoints_2d": numbers} for numbers in (seen, [0] * 75)]
    (folder / "a.json").write_text(json.dumps({"version": 1.3, "people": people}))
    Image.new("RGB", (320, 240)).save(folder / "a.png")
    return str(folder / "a.png"), str(folder / "a.json")


def a_record():
    return record_run(
        name="keypoints_only",
        settings={"scale": {"name": "smoke"}},
        settings_hash="a",
        seed=0,
        metrics={"studio/mpjpe_mm": 254.7},
        seconds=12,
    )
