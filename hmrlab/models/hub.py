"""Published weights in the caches of torch hub and Hugging Face; fetched only when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hmrlab.files import FileProblem, sha256_of
from hmrlab.models.safe_load import read_torch


def hub_path(url: str) -> Path:
    """Where torch hub keeps what comes from an address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def hub_weights(url: str, what: str, *, allow_download: bool = False, hint: str = "") -> Any:
    """A published file of weights, whose name ends in the first digits of its SHA-256.

    Messages say `what` it is ("ImageNet weights of resnet18"), and what else one can do without it.

    Raises:
        FileProblem: it is not in the cache, damaged there, or not to be fetched.
    """
    path = hub_path(url)
    if not path.exists():
        if not allow_download:
            raise _not_cached(what, path, f"put the file from {url} there.{hint}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=True)
        except OSError as error:  # URLError is one too
            way = f"A file that you bring belongs at {path}.{hint}"
            raise _not_fetched(what, url, error, way) from error
    expected = path.stem.rpartition("-")[2]
    if not sha256_of(path).startswith(expected):
        raise FileProblem(
            f"{path} is damaged (its SHA-256 does not start with {expected}); delete it"
        )
    return read_torch(path)


def hugging_face_file(
    repository: str, name: str, what: str, *, allow_download: bool = False
) -> Path:
    """A file of a repository ("timm/resnet10t.c3_in1k") in Hugging Face's cache.

    Raises:
        FileProblem: it is not in the cache, or not to be fetched.
    """
    import huggingface_hub  # slow to import, and seldom needed

    cache = Path(huggingface_hub.constants.HF_HUB_CACHE)
    command = f"hf download {repository} {name}"
    try:
        path = huggingface_hub.hf_hub_download(
            repository, name, cache_dir=cache, local_files_only=not allow_download
        )
    except OSError as error:  # all of the library's errors of files and of the network are
        if not allow_download:
            raise _not_cached(what, cache, f"fetch them there by: {command}") from error
        way = f"Where it is, `{command}` fills {cache}, which you may copy."
        raise _not_fetched(what, f"huggingface.co/{repository}", error, way) from error
    return Path(path)


def _not_cached(what: str, place: Path, way: str) -> FileProblem:
    return FileProblem(
        f"the {what} are not in {place}. Allow the download (allow_download=True in "
        f"Python, --allow-download on the command line), or {way}"
    )


def _not_fetched(what: str, source: str, error: OSError, way: str) -> FileProblem:
    return FileProblem(
        f"the {what} could not be fetched from {source} ({error}). Is this machine online? {way}"
    )
