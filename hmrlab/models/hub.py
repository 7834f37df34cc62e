"""Published weights in torch hub's cache: used where they are there, fetched only when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hmrlab.files import FileProblem, sha256_of
from hmrlab.models.reading import read_torch


def hub_path(url: str) -> Path:
    """Where torch hub keeps what comes from an address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def hub_weights(url: str, what: str, *, allow_download: bool = False, hint: str = "") -> Any:
    """A published file of weights, checked against the hash in its name.

    Args:
        url: of the file, whose name ends in the first digits of its SHA-256.
        what: it is, for messages: "ImageNet weights of resnet18".
        allow_download: fetch it if the cache lacks it.
        hint: what else can be done without it, for the message.

    Raises:
        FileProblem: it is not in the cache, damaged there, or not to be fetched.
    """
    path = hub_path(url)
    if not path.exists():
        if not allow_download:
            raise FileProblem(
                f"the {what} are not in {path}. Allow the download (allow_download=True in "
                "Python, --allow-download on the command line), or put the file from "
                f"{url} there.{hint}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=True)
        except OSError as error:  # URLError is one too
            raise FileProblem(
                f"the {what} could not be fetched from {url} ({error}). Is this machine online? "
                f"A file that you bring belongs at {path}.{hint}"
            ) from error
    expected = path.stem.rpartition("-")[2]
    if not sha256_of(path).startswith(expected):
        raise FileProblem(
            f"{path} is damaged (its SHA-256 does not start with {expected}); delete it"
        )
    return read_torch(path)
