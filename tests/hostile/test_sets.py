"""Records, fits, the notes of sets and the ledger: damaged in every way that came to mind."""

import json

import numpy as np
import pytest
import python_2
from attacks import ATTACKS
from cases import (  # noqa: F401
    Target,
    test_a_damaged_file_ends_in_a_message_or_does_no_harm,
    test_the_whole_files_are_taken,
)
from judging import FIRST_SECONDS, run
from mutations import HEADERS, NPY_CHANGES, instead, json_changes, npy_of, npz_attacks, npz_changes
from worlds import PEOPLE, as_npz, ledger_row, picture, prior_arrays, record_arrays

KEYS = (
    "imgname",
    "center",
    "scale",
    "openpose",
    "part",
    "S",
    "pose",
    "shape",
    "has_smpl",
    "gender",
)
FIT = ("fit", "{folder}/records.npz", "--starts", "1", "--scale", "smoke", "--out", "{out}")
PACK = ("data", "pack", "mpii", "--resolution", "32", "--workers", "1")
ADOPT = ("data", "adopt", "{folder}/mpii_train.npz", "--root", "{folder}")


def records(folder):
    (folder / "records.npz").write_bytes(as_npz(record_arrays()))
    for k in range(PEOPLE):
        picture(folder / f"{k}.png")


def with_prior(folder):
    records(folder)
    (folder / "gmm_08.pkl").write_bytes(python_2.dumps(prior_arrays()))


def released(folder):
    records(folder)
    (folder / "records.npz").rename(folder / "mpii_train.npz")
    fits = np.concatenate([record_arrays()[key] for key in ("pose", "shape")], 1)
    (folder / "fits.npy").write_bytes(npy_of(fits))
    (folder / "fits.npz").write_bytes(
        as_npz({"pose": fits[:, :72], "shape": fits[:, 72:], "has_smpl": np.ones(PEOPLE)})
    )


def prepared(folder):
    """A home with a prepared set that is packed."""
    from hmrlab.data.prepared import note_set

    pictures, split = folder / "pictures", folder / "data/real/mpii/train"
    pictures.mkdir()
    records(pictures)
    split.mkdir(parents=True)
    (pictures / "records.npz").rename(split / "records.npz")
    note_set(split, name="mpii", split="train", images=pictures, count=PEOPLE, skipped={"x": 1},
             box_factor=1.25)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(folder))
        done = run(
            ("data", "pack", "mpii", "--resolution", "32", "--workers", "1"), folder, FIRST_SECONDS
        )
    assert done.code == 0, done.err


def ledger(folder):
    (folder / "runs").mkdir()
    row = json.dumps(ledger_row())
    (folder / "runs/ledger.jsonl").write_text(f"{row}\n{row.replace('keypoints_only', 'x')}\n")


def set_note():
    return {
        "format": "hmrlab-set-1", "name": "mpii", "split": "train", "images": "/x", "count": 3,
        "skipped": {"x": 1}, "box_factor": 1.25, "made_by": "x", "records_sha256": "0",
        "source": "",
    }  # fmt: skip


def packed_note():
    return {
        "format": "hmrlab-packed-1",
        "plan": {"records_sha256": "0", "resolution": 32, "margin": 1.77, "quality": 90},
        "count": 3, "damaged": {"1": "x"}, "files": {"crops-00000.npy": 10},
    }  # fmt: skip


def in_ledger(value):
    """Another row behind the ledger's good ones."""
    return lambda good, rng: good + value(good, rng) + b"\n"


def as_rows(damages):
    return {words: in_ledger(damage) for words, damage in damages.items()}


IN_HOME = {"HMRLAB_HOME": "{folder}"}
TARGETS = [
    Target("fit records", "records.npz", FIT, records,
           npz_changes(KEYS) | npz_attacks("scale") | npz_attacks("imgname")),
    Target("a prior", "gmm_08.pkl", FIT, with_prior,
           instead(ATTACKS),
           env={"HMRLAB_PRIOR": "{file}"}),
    Target("adopt", "mpii_train.npz", ADOPT, released,
           npz_changes(KEYS[:5]) | npz_attacks("imgname") | npz_attacks("part")),
    Target("adopt fits.npy", "fits.npy", (*ADOPT, "--fits", "{folder}/fits.npy"), released,
           NPY_CHANGES | instead(HEADERS)),
    Target("adopt fits.npz", "fits.npz", (*ADOPT, "--fits", "{folder}/fits.npz"), released,
           npz_changes(("pose", "shape", "has_smpl")) | npz_attacks("pose")),
    *(
        Target(f"{words[1]}: {file.rpartition('/')[2]}", file, words, prepared, damages, IN_HOME,
               ("mpii", file.rpartition("/")[2]))
        for words in (("data", "status"), PACK)
        for file, damages in (
            ("data/real/mpii/train/set.json", json_changes(set_note())),
            ("data/real/mpii/train/packed/packed.json", json_changes(packed_note())),
        )
    ),
    *(
        Target(f"table {name}", "runs/ledger.jsonl", ("table", name), ledger,
               as_rows(json_changes(ledger_row())), IN_HOME)
        for name in ("runs", "evaluations")
    ),
]  # fmt: skip
