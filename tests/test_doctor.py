import shutil
import sys
from types import SimpleNamespace

import pytest
import torch

from hmrlab import doctor
from hmrlab.rendering import backends


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "not" / "yet"
    monkeypatch.setenv("HMRLAB_HOME", str(folder))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    return folder


def test_this_machine_has_all_that_the_tests_need():
    findings = doctor.examine()
    names = ["Python", "torch", "rendering", "body", "data", "disk", "writing", "JupyterLab"]
    assert [finding.name for finding in findings] == names
    assert [str(f) for f in findings if f.essential and not f.ok and f.name != "disk"] == []


def test_a_quick_look_leaves_out_what_takes_seconds(monkeypatch):
    for name in ("look_at_torch", "look_at_rendering"):
        monkeypatch.setattr(doctor, name, pytest.fail)
    names = [finding.name for finding in doctor.examine(quick=True)]
    assert names == ["Python", "body", "data", "disk", "writing", "JupyterLab"]


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    finding = doctor.look_at_python()
    assert not finding.ok
    assert "Python 3.11 or newer" in finding.remedy


def test_a_torchvision_of_another_torch_is_found(monkeypatch):
    def nms(*_):
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr(torch.ops, "torchvision", SimpleNamespace(nms=nms))
    finding = doctor.look_at_torch()
    assert not finding.ok
    assert finding.words.endswith("(operator torchvision::nms does not exist)")
    assert "make install" in finding.remedy


@pytest.mark.parametrize(
    ("found", "words", "remedy"),
    [
        (["OK", "OK"], "egl is used, osmesa and raster would do too", ""),
        (["OK", "no lib"], "egl is used, raster would do too; no osmesa: no lib", ""),
        (["a", "b"], "raster is used; no egl: a; no osmesa: b", "apt install libegl1"),
    ],
)
def test_rendering_is_named_by_what_will_be_used(monkeypatch, found, words, remedy):
    answers = dict(zip(["egl", "osmesa", "raster"], [*found, "OK"], strict=True))
    monkeypatch.setattr(backends, "available_backends", lambda: answers)
    finding = doctor.look_at_rendering()
    assert (finding.ok, finding.words) == (True, words)
    assert remedy in finding.remedy
    assert bool(remedy) == bool(finding.remedy)


def test_a_body_that_does_not_load_is_told_with_its_file(monkeypatch, tmp_path):
    assert doctor.look_at_body().words.startswith("the free body, ")
    monkeypatch.setenv("HMRLAB_BODY", str(tmp_path / "mine.npz"))
    finding = doctor.look_at_body()
    assert not finding.ok
    assert "mine.npz" in finding.words
    assert "unset HMRLAB_BODY" in finding.remedy


def test_no_data_yet_is_no_fault():
    finding = doctor.look_at_data()
    assert finding.ok
    assert "made on first use" in finding.words


def test_a_disk_nearly_full_is_told(monkeypatch):
    assert doctor.look_at_disk().ok
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=40_000_000))
    finding = doctor.look_at_disk()
    assert not finding.ok
    assert finding.words.startswith("40 MB free")
    assert "free 3.0 GB" in finding.remedy


def test_a_home_that_cannot_be_written_is_told(monkeypatch, home):
    assert doctor.look_at_writing().ok
    file = home / "a_file"
    file.touch()
    monkeypatch.setenv("HMRLAB_HOME", str(file / "inside"))
    finding = doctor.look_at_writing()
    assert not finding.ok
    assert "HMRLAB_HOME" in finding.remedy


def test_missing_notebook_packages_are_named(monkeypatch):
    def version(package):
        if package == "papermill":
            raise doctor.metadata.PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(doctor.metadata, "version", version)
    assert doctor.look_at_jupyter().words == "no papermill"


def test_a_look_that_fails_is_a_finding(monkeypatch):
    def broken():
        raise KeyError("cross_entropy")

    monkeypatch.setattr(doctor, "look_at_disk", broken)
    finding = next(f for f in doctor.examine() if f.name == "disk")
    assert not finding.ok
    assert "KeyError: 'cross_entropy'" in finding.words
