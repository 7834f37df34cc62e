"""Which body a name stands for, and where its file lies."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from hmrlab import paths
from hmrlab.files import FileProblem, resolve, sha256_of, user_path

ASSETS = Path(__file__).parent / "assets"
DETAILS = ("full", "light")
FREE = "free"
IMPORTED = ("smpl_neutral", "smpl_male", "smpl_female")
"""Bodies that `hmrlab body import` can make of a user's files, by name."""
OFFICIAL_FILES = {
    "smpl_neutral": "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl",
    "smpl_male": "basicmodel_m_lbs_10_207_0_v1.1.0.pkl",
    "smpl_female": "basicmodel_f_lbs_10_207_0_v1.1.0.pkl",
}
WHERE_FROM = "https://smpl.is.tue.mpg.de (free for research, after registration)"
_ALIASES = {"smpl": "smpl_neutral"}


def bodies_folder() -> Path:
    """Where imported bodies lie, and what they are completed with."""
    return paths.data_dir() / "bodies"


def imported_path(name: str) -> Path:
    """Where an imported body lies that can be used."""
    return bodies_folder() / f"{name}.npz"


def waiting_path(name: str) -> Path:
    """Where an imported body lies that still lacks its further regressors."""
    return bodies_folder() / "waiting" / f"{name}.npz"


def companion_path(kind: str) -> Path:
    """Where a file lies that goes with imported bodies, such as "gmm_08" or "smpl_mean_params"."""
    return bodies_folder() / f"{kind}.npz"


def body_name(source: str | Path) -> str:
    """A body's full name: "free", one of `IMPORTED` ("smpl" is "smpl_neutral"), or a path."""
    return _ALIASES.get(str(source), str(source))


def body_path(source: str | Path | None = None, detail: str = "full") -> Path:
    """The file of a body.

    Args:
        source: "free"; "smpl" (which is "smpl_neutral"), "smpl_male" or "smpl_female", once they
            are imported; or a path, which is returned as it is. By default the one that the user
            chose by `$HMRLAB_BODY`, else "free".
        detail: of the free body, "full" or "light"; every other has only one.

    Raises:
        FileProblem: the body was not imported, or waits for something; or the path begins with
            the name of no user.
        ValueError: there is no such detail.
    """
    if detail not in DETAILS:
        raise ValueError(f"detail {detail!r} is not one of {', '.join(DETAILS)}")
    name = body_name(source or paths.chosen_body())
    if name == FREE:
        return ASSETS / f"free_body_{detail}.npz"
    if name not in IMPORTED:
        return user_path(name)
    path = imported_path(name)
    if not path.is_file():
        raise FileProblem(_not_there(name, path))
    return path


def missing_bodies(names: tuple[str, ...] = IMPORTED) -> list[str]:
    """Those of some imported bodies that are not there, or not complete."""
    return [name for name in names if not imported_path(name).is_file()]


def body_digest(source: str | Path, detail: str = "light") -> str:
    """16 hexadecimal digits of a body's file: different bodies, different digits.

    Raises:
        FileProblem: see `body_path`, or the file is missing.
    """
    path = body_path(source, detail)
    try:
        stamp = path.stat()
    except OSError as error:
        raise FileProblem(f"no body file at {path} ({error.strerror}).") from error
    return _digest(resolve(path), stamp.st_mtime_ns, stamp.st_size)


def own_body_digest(source: str | Path) -> str:
    """`body_digest` of a user's own body; nothing for the free one."""
    digest = body_digest(source)
    return "" if digest == body_digest(FREE) else digest


def body_label(source: str | Path) -> str:
    """A body in words that name no folder: "smpl_neutral (4f0c...)"."""
    name = body_name(source)
    return f"{name if name in (FREE, *IMPORTED) else Path(name).name} ({body_digest(source)})"


def require_free_body(what: str) -> None:
    """Refuse to make what comes with hmrlab with any body but the free one.

    Raises:
        FileProblem: `$HMRLAB_BODY` names another.
    """
    chosen = paths.chosen_body()
    if own_body_digest(chosen):
        raise FileProblem(
            f"{what} must be made with the body that comes with hmrlab, but HMRLAB_BODY names "
            f"{chosen}, whose licence may forbid passing on what it is in. Unset HMRLAB_BODY."
        )


@lru_cache
def _digest(path: Path, changed: int, size: int) -> str:
    """The file's; when it was changed and its size tell one content from the next."""
    return sha256_of(path)[:16]


def _not_there(name: str, path: Path) -> str:
    if waiting_path(name).is_file():
        return (
            f"{name} was imported but is not complete yet: it waits for J_regressor_extra.npy and "
            "J_regressor_h36m.npy of SPIN's data (its fetch_data.sh gets them). Then: hmrlab body "
            "import J_regressor_extra.npy J_regressor_h36m.npy"
        )
    return (
        f"{name} was not imported: no {path}. Get {OFFICIAL_FILES[name]}, or the file of another "
        f"release, from {WHERE_FROM}, then: hmrlab body import FILE. Or take the body that comes "
        "with hmrlab: unset HMRLAB_BODY, or name 'free'."
    )
