from pathlib import Path

import pytest

HEAD = """# ---
# jupyter:
#   hmrlab: {{needs: [{needs}]}}
# ---

# %% [markdown]
# # {title}
# Bodies twist: $x^2$ <b>radians</b>.

# %% tags=["parameters"]
scale: str = "laptop"
seed: int = 0

"""


class Recorder:
    """A progress that remembers what it was told."""

    def __init__(self):
        self.told = []

    def notebook_started(self, source, number, count):
        self.told.append(("notebook", source.name, number, count))

    def cell_started(self, number, count, first_line):
        self.told.append(("cell", number, count, first_line))

    def cell_done(self, number, count, first_line, seconds):
        self.told.append(("done", number, count, first_line))
        assert seconds >= 0

    def notebook_done(self, result):
        self.told.append((result.status, result.source.name))


@pytest.fixture(scope="session")
def make_recorder():
    return Recorder


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture(scope="session")
def write_chapter():
    """Writes a source into `<folder>/source`."""

    def write(folder: Path, name: str, body: str, needs: str = "", title: str = "A title") -> Path:
        path = folder / "source" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD.format(needs=needs, title=title) + body, encoding="utf-8")
        return path

    return write
