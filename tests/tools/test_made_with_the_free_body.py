"""What is passed on is made with the body that everybody has."""

from dataclasses import replace
from importlib import import_module

import pytest

from hmrlab.bodies import read_body_file, write_body_file
from hmrlab.bodies.body import ASSETS


@pytest.fixture
def another_body(tmp_path, monkeypatch):
    arrays = read_body_file(ASSETS / "free_body_light.npz")
    path = write_body_file(
        tmp_path / "taller.npz", replace(arrays, v_template=1.1 * arrays.v_template)
    )
    monkeypatch.setenv("HMRLAB_BODY", str(path))
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("another_body")
@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("build_notebooks", ["00"]),
        ("build_weights", ["--scale", "smoke"]),
        ("build_figures", ["--scale", "smoke"]),
    ],
)
def test_what_comes_along_is_not_made_with_another_body(tool, words, tmp_path, capsys):
    folder = tmp_path / "out"
    (folder / "source").mkdir(parents=True)
    (folder / "source" / "00_one.py").write_text("# %% [markdown]\n# # One\n")
    with pytest.raises(SystemExit) as ended:
        import_module(tool).main([*words, "--folder", str(folder)])
    assert ended.value.code == 1
    assert "must be made with the body" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["source"]
    assert not (tmp_path / "home").exists()  # nothing was trained before it was said
