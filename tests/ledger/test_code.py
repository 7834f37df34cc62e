"""Digests of code: what is edited counts, how it is written does not."""

import textwrap

import pytest

from hmrlab.ledger.code import code_digests, differing, digest_of_source

SOURCE = '''
"""What it does."""

import math


def area(radius: float) -> float:
    """Of a circle."""
    return math.pi * radius**2  # square metres
'''


@pytest.mark.parametrize(
    "written",
    [
        SOURCE.replace("Of a circle.", "Of a disc, square metres."),
        SOURCE.replace("  # square metres", ""),
        SOURCE.replace("radius: float) -> float", "radius)"),
        SOURCE.replace('    """Of a circle."""\n', ""),
        SOURCE.replace("math.pi * radius**2", "(\n        math.pi\n        * radius ** 2\n    )"),
        SOURCE.replace("\n\n\n", "\n\n# pi is known\n\n"),
    ],
)
def test_comments_docstrings_types_and_formatting_do_not_count(written):
    assert written != SOURCE
    assert digest_of_source(written) == digest_of_source(SOURCE)


@pytest.mark.parametrize(
    ("this", "that"),
    [("**2", "**3"), ("math.pi", "math.e"), ("radius**2", "radius * 2")],
)
def test_whatever_python_runs_counts(this, that):
    assert digest_of_source(SOURCE.replace(this, that)) != digest_of_source(SOURCE)


@pytest.fixture
def package(tmp_path):
    """A package of its own: `step` imports `losses` by the face of `models`, and a tool."""
    files = {
        "__init__.py": "",
        "step.py": "from hmrlab.models import loss\nfrom hmrlab.tools.files import write\n",
        "models/__init__.py": "from hmrlab.models.losses import loss\n"
        "from hmrlab.models.other import unused\n",
        "models/losses.py": "import hmrlab.numbers\n\ndef loss(x):\n    return 2 * x\n",
        "models/other.py": "unused = 1\n",
        "tools/__init__.py": "",
        "tools/files.py": "def write(): ...\n",
        "numbers.py": "TWO = 2\n",
        "apart.py": "x = 1\n",
    }
    for name, text in files.items():
        path = tmp_path / "hmrlab" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path / "hmrlab"


def digests(package):
    return code_digests(("hmrlab.step",), ("hmrlab.tools",), package)


def test_imports_are_followed_through_the_faces_of_rooms(package):
    assert list(digests(package)) == ["hmrlab.models.losses", "hmrlab.numbers", "hmrlab.step"]


def test_an_edit_shows_in_its_module_alone(package):
    before = digests(package)
    (package / "models" / "losses.py").write_text("def loss(x):\n    return 3 * x\n")
    after = digests(package)
    assert differing(after, before) == ["hmrlab.models.losses", "hmrlab.numbers"]  # not imported


def test_an_edit_elsewhere_shows_nowhere(package):
    before = digests(package)
    (package / "tools" / "files.py").write_text("def write():\n    return 1\n")
    (package / "apart.py").write_text("x = 2\n")
    assert digests(package) == before


def test_a_module_that_is_not_there_is_named(package):
    with pytest.raises(ValueError, match=r"hmrlab\.missing is no module"):
        code_digests(("hmrlab.missing",), (), package)
