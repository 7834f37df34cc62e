"""Qualisys' calibration, against cameras that are known."""

import pytest
from miniature_capture import NAMES, cameras, qca
from torch.testing import assert_close

from hmrlab.captures.qualisys import read_qca
from hmrlab.files import FileProblem


def test_the_cameras_that_were_written_are_read(tmp_path):
    wanted = cameras()
    (tmp_path / "Calib.qca.txt").write_text(qca(wanted))
    names, found = read_qca(tmp_path / "Calib.qca.txt")
    assert names == NAMES
    for key, values in vars(wanted).items():
        assert_close(getattr(found, key), values.contiguous(), rtol=0, atol=1e-9)


WHOLE = qca(cameras())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        (WHOLE[: len(WHOLE) // 2], "cannot be read"),
        ("<calibration/>", "0 cameras"),
        (WHOLE.replace("cam02", "cam01"), "called cam01, cam01"),
        (WHOLE.replace("cam02", "../cam02"), "called cam01, ../cam02"),
        (WHOLE.replace("<fov_video", "<fov", 1), "lacks 'fov_video'"),
        (WHOLE.replace('r12="', 'rr="', 1), "lacks 'r12'"),
        (qca(cameras(), x="nan"), "of cam01 is no number"),
        (qca(cameras(), focalLengthU="wide"), "could not convert"),
        (qca(cameras(), r22="0.5"), "axes of cam01 are no rotation"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + WHOLE, "document type"),
    ],
)
def test_what_is_no_calibration_is_refused_in_words(tmp_path, text, words):
    path = tmp_path / "Calib.qca.txt"
    path.write_text(text)
    with pytest.raises(FileProblem, match=rf"(?s)Calib\.qca\.txt.*{words}.*get it anew"):
        read_qca(path)


def test_a_missing_calibration_is_named(tmp_path):
    with pytest.raises(FileProblem, match="no calibration of cameras at"):
        read_qca(tmp_path / "Calib.qca.txt")
