"""The errors for what cannot be used: a file, an array in one."""

from __future__ import annotations


class FileProblem(Exception):
    """A file of the user's that cannot be used; the message names the file and the remedy."""


class BadArrayError(ValueError):
    """What is wrong with an array of a file, in words."""
