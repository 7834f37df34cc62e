"""The modules beside the tests are found by name."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "unpickling")]


@pytest.fixture(scope="session", autouse=True)
def warm() -> None:
    """What a process loads and finds out once is not held against a single command."""
    from hmrlab.bodies import load_body
    from hmrlab.rendering import choose_backend
    from hmrlab.smplify import load_prior

    choose_backend()
    load_body("free", "light")
    load_prior()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home of hmrlab's own."""
    for name in ("HMRLAB_BODY", "HMRLAB_PRIOR", "HMRLAB_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"
