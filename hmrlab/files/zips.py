"""Zips whose list of parts is of a sane length."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from hmrlab.files.problem import BadArrayError

MAX_DIRECTORY = 2**24  # bytes of a zip's list of its parts
_MAX_END = 2**17  # bytes behind it: a few, and a comment


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """A zip that is open for reading.

    Raises:
        BadArrayError: its list of parts takes more than a stated number of bytes.
        Exception: it is damaged; `zipfile` raises many kinds.
    """
    sparing = _Sparing(file)
    archive = zipfile.ZipFile(sparing)
    sparing.most = -1
    return archive


class _Sparing:
    """A file for `zipfile`, which would read a list of parts of any length at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.most = file, MAX_DIRECTORY
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        if count > self.most >= 0:
            raise BadArrayError("a zip with too long a list of parts")
        return self._file.read(_MAX_END if count < 0 <= self.most else count)
