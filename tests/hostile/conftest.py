"""The modules beside the tests are found by name."""

import sys
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("cases")
from cases import NINTHS, SEEDS  # noqa: E402


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Targets of a module, and their damages, those that are drawn for each seed."""
    targets = getattr(metafunc.module, "TARGETS", ())
    if "target" not in metafunc.fixturenames:
        return
    if "words" not in metafunc.fixturenames:
        metafunc.parametrize("target", targets, ids=lambda target: target.name)
        return
    cases = [
        pytest.param(target, words, seed, id=f"{target.name}-{words}-{seed}")
        for target in targets
        for words in target.labels()
        for seed in range(SEEDS if "wrong" in words or "drawn" in words else 1)
        if zlib.crc32(f"{target.name}-{words}".encode()) % 9 < NINTHS
    ]
    metafunc.parametrize(("target", "words", "seed"), cases)


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
