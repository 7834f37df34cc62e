"""Files of a training that are damaged when they are read again."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from hmrlab.config import get_scale
from hmrlab.evaluation.scores import Scores
from hmrlab.files import FileProblem
from hmrlab.smplify import load_prior
from hmrlab.spin import FitConfig
from hmrlab.training.first_fits import first_fits, fit_people
from hmrlab.training.micro_batches import MICRO_BATCH, kept_micro_batch
from hmrlab.training.results import RunResult

SCORES = {name: np.ones(3) for name in Scores.__dataclass_fields__}
HISTORY = {"steps": np.arange(3), "seconds": np.float64(2), "check/steps": np.arange(2)}
FITS = {"pose": np.ones((3, 72)), "betas": np.ones((3, 10)), "known": np.ones(3, bool)}
READ = {
    "scores_wild.npz": (SCORES, lambda result: result.scores("wild")),
    "history.npz": (HISTORY, lambda result: result.history()),
    "fits.npz": (FITS, lambda result: result.fits()),
}


@pytest.mark.parametrize(("name", "content", "read"), [(k, *v) for k, v in READ.items()], ids=READ)
def test_a_result_that_is_damaged_is_named_with_the_remedy(tmp_path, name, content, read):
    result, path = RunResult(None, None, tmp_path, reused=True), tmp_path / name
    np.savez(path, **content)
    assert read(result) is not None
    key = next(iter(content))
    for change, says in (
        ({key: np.full(content[key].shape, {})}, f"'{key}': it holds Python objects"),
        ({key: np.full(content[key].shape, "a")}, f"'{key}' must hold numbers"),
        ({key: np.ones((2, 3, 4))}, "'[a-z_]+' must have shape"),
        ({key: None}, f"it has no '{key}'"),
    ):
        np.savez(path, **{k: v for k, v in (content | change).items() if v is not None})
        with pytest.raises(
            FileProblem, match=rf"{name} is not a readable .* training \({says}.*Delete"
        ):
            read(result)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileProblem, match=rf"{name} is not a readable result of a training"):
        read(result)


@pytest.mark.parametrize("text", ["many", "", "0", "-3", "1.5", "9" * 90, "9" * 5000, "\xff"])
def test_a_micro_batch_that_is_no_number_of_pictures_is_refused(tmp_path, text):
    (tmp_path / MICRO_BATCH).write_text(text, encoding="latin-1")
    with pytest.raises(FileProblem, match=MICRO_BATCH):
        kept_micro_batch(tmp_path)


def test_a_record_file_may_have_the_longest_name_there_is(make_records, tmp_path):
    """Its fits have a name that fits, too."""
    path = tmp_path / ("ö" * 125 + ".npz")
    make_records(1).path.rename(path)
    _, written = fit_people(str(path), get_scale("smoke"), 1, tmp_path / "fits")
    assert written.is_file()


def test_a_pipe_in_place_of_a_micro_batch_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / MICRO_BATCH)
    with pytest.raises(FileProblem, match=f"{MICRO_BATCH} is a pipe"):
        kept_micro_batch(tmp_path)


def test_first_fits_that_are_damaged_are_named_with_the_remedy(make_records, body, tmp_path):
    records = make_records(2)
    records = replace(records, has_smpl=np.zeros(2, bool))

    def fits():
        plan = FitConfig(cold_steps=1, headings=(0.0,))
        return first_fits(
            records, "people", body, load_prior(), plan, folder=tmp_path / "fits", progress=False
        )

    made, path = fits()
    assert torch.equal(fits()[0].pose, made.pose)
    with np.load(path) as arrays:
        whole = dict(arrays)
    for change, says in (
        ({"pose": np.ones((2, 72))}, r"'pose' must have shape \(2, 24, 3\), found \(2, 72\)"),
        ({"betas": np.ones((3, 10))}, r"'betas' must have shape \(2, 10\)"),
        ({"betas": np.full((2, 10), "a")}, "'betas' must hold numbers"),
        ({"valid": np.array([{}, {}])}, "'valid': it holds Python objects"),
    ):
        np.savez(path, **(whole | change))
        with pytest.raises(FileProblem, match=rf"people.*npz is not .* fits \({says}.*Delete it"):
            fits()
