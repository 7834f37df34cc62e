"""The commit where there is no `.git`: told by HMRLAB_COMMIT."""

import pytest

from hmrlab.ledger import machine, source_commit


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """hmrlab runs from a copy of its files alone."""
    monkeypatch.setattr(machine, "_CHECKOUT", tmp_path)


@pytest.mark.parametrize("told", ["0123456789abcdef" * 2 + "01234567", "abcdef0", "abcdef0+dirty"])
def test_a_copy_without_git_is_told_its_commit(copy, monkeypatch, told):
    monkeypatch.setenv("HMRLAB_COMMIT", told)
    assert source_commit() == told


def test_nobody_told(copy, monkeypatch):
    monkeypatch.delenv("HMRLAB_COMMIT", raising=False)
    assert source_commit() == "unknown"


@pytest.mark.parametrize("told", ["main", "abc", "ABCDEF0", "0" * 41, "abcdef0 ", "abcdef0\n"])
def test_what_is_no_commit_is_refused(copy, monkeypatch, told):
    monkeypatch.setenv("HMRLAB_COMMIT", told)
    with pytest.raises(ValueError, match="expected 7 to 40 hexadecimal digits"):
        source_commit()


def test_a_checkout_knows_better(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(machine, "_CHECKOUT", tmp_path)
    monkeypatch.setenv("HMRLAB_COMMIT", "abcdef0")
    assert source_commit() == "unknown"
