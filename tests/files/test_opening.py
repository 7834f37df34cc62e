"""Only regular files are opened, and nothing waits."""

import os

import pytest

from hmrlab.files import (
    FileProblem,
    open_regular,
    read_bytes,
    read_text,
    resolve,
    sha256_of,
    user_path,
)


def test_a_file_is_opened_read_and_digested(tmp_path):
    path = tmp_path / "some.txt"
    path.write_text("hé", encoding="utf-8")
    with open_regular(path) as file:
        assert file.read() == "hé".encode()
    assert read_text(path) == "hé"
    assert sha256_of(path) == "7dfbe0eab96510b11c9a2671d83019cd52953211294db5f917ffa0b7cc84f534"


def in_place_of_a_file(kind, path):
    """Make something that is no file."""
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link that leads back to itself":
        path.symlink_to(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "a folder in its path":
        path.parent.joinpath("file").write_text("")
        return path.parent / "file" / "inner"
    return path


@pytest.mark.parametrize(
    "kind",
    ["a folder", "a pipe", "a link that leads back to itself", "a device", "a folder in its path"],
)
@pytest.mark.parametrize("read", [read_bytes, read_text, sha256_of], ids=lambda f: f.__name__)
def test_what_is_no_file_is_called_what_it_is(tmp_path, kind, read):
    path = in_place_of_a_file(kind, tmp_path / "thing")
    with pytest.raises(FileProblem, match=rf"{path.name}.* {kind}"):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileProblem, match=r"no file at .*gone"):
        read_bytes(tmp_path / "gone")
    with pytest.raises(FileProblem, match=r"^train one first$"):
        read_bytes(tmp_path / "gone", missing="train one first")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_said_so(tmp_path):
    path = tmp_path / "secret"
    path.write_text("")
    path.chmod(0)
    with pytest.raises(FileProblem, match="permissions"):
        read_bytes(path)


def test_a_file_larger_than_expected_is_not_read(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(101))
    with pytest.raises(FileProblem, match=r"101 bytes; at most 100"):
        read_bytes(path, max_bytes=100)
    assert len(read_bytes(path, max_bytes=101)) == 101


def test_a_text_in_another_encoding_is_refused_with_its_place(tmp_path):
    path = tmp_path / "latin"
    path.write_bytes(b"abc\xff")
    with pytest.raises(FileProblem, match=r"no UTF-8 text \(byte 3\)"):
        read_text(path)


def test_a_home_of_nobody_is_no_traceback():
    with pytest.raises(FileProblem, match="no user ~nobody_has_this_name"):
        user_path("~nobody_has_this_name/x")


def test_the_home_is_put_in_place_of_its_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x"


def test_a_null_character_is_no_path():
    with pytest.raises(FileProblem, match="null character"):
        user_path("a\0b")


def test_links_are_followed_until_they_lead_back_to_themselves(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").mkdir()
    assert resolve(tmp_path / "a" / "c") == (tmp_path / "b" / "c").resolve()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FileProblem, match="leads back to itself"):
        resolve(tmp_path / "loop" / "c")
