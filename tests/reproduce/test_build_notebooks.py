import nbformat
import pytest
from build_notebooks import build_notebook, clean, code_differences, main
from nbformat.v4 import new_code_cell, new_notebook, new_output

from hmrlab.files import FileProblem
from hmrlab.reproduce.execute import Status
from hmrlab.reproduce.pages import WIDGET
from hmrlab.reproduce.sources import load_notebook, read_source

NOISY = """# %%
from ipywidgets import IntSlider
from tqdm.auto import tqdm
display(IntSlider())
for i in tqdm(range(3)):
    print("step", i)
scale

# %% tags=["solution"] jupyter={"source_hidden": true}
display({"image/png": b"", "text/plain": "a figure"}, raw=True)
"""


def test_a_built_notebook_has_outputs_and_no_noise(tmp_path, write_chapter, recorder):
    path = write_chapter(tmp_path, "00_noisy", NOISY)
    result = build_notebook(read_source(path), tmp_path, recorder)
    assert result.status is Status.PASSED, result.problem
    assert result.path == tmp_path / "00_noisy.ipynb"
    text = result.path.read_text(encoding="utf-8")
    built = nbformat.reads(text, as_version=4)
    nbformat.validate(built)
    assert code_differences(load_notebook(path), built) == []
    outputs = built.cells[2].outputs
    assert [o.output_type for o in outputs] == ["stream", "execute_result"]
    assert outputs[0].text == "step 0\nstep 1\nstep 2\n"
    assert outputs[1].data["text/plain"] == "'laptop'"
    assert [c.execution_count for c in built.cells if c.cell_type == "code"] == [1, 2, 3]
    assert set(built.metadata) == {"kernelspec", "language_info", "hmrlab"}
    assert built.cells[3].metadata == {"tags": ["solution"], "jupyter": {"source_hidden": True}}
    for noise in (WIDGET, "model_id", "papermill", "start_time", "iopub"):
        assert noise not in text


def test_building_twice_gives_the_same_bytes(tmp_path, write_chapter, recorder):
    source = read_source(write_chapter(tmp_path, "00_same", "# %%\nprint(scale)\n"))
    first = build_notebook(source, tmp_path, recorder, {"scale": "smoke"}).path.read_bytes()
    assert build_notebook(source, tmp_path, recorder, {"scale": "smoke"}).path.read_bytes() == first
    assert b"smoke" in first  # in the output; the cell that set it is gone
    assert len(nbformat.reads(first.decode(), as_version=4).cells) == 3


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("# %%\nprint('x' * 600_000)\n", "would have 6.. KB"),
        ("# %%\nimport os\nprint(os.getcwd() + '/data')\n", "would name a folder of this machine"),
    ],
)
def test_an_unfit_notebook_is_not_written(tmp_path, write_chapter, recorder, code, words):
    folder = tmp_path / "notebooks"
    source = read_source(write_chapter(folder, "00_unfit", code))
    (folder / "00_unfit.ipynb").write_text("the old one")
    with pytest.raises(FileProblem, match=words):
        build_notebook(source, folder, recorder)
    assert (folder / "00_unfit.ipynb").read_text() == "the old one"


def test_a_notebook_that_fails_is_not_written(tmp_path, write_chapter, recorder):
    source = read_source(write_chapter(tmp_path, "00_failing", "# %%\n1 / 0\n"))
    result = build_notebook(source, tmp_path, recorder)
    assert result.status is Status.FAILED
    assert "ZeroDivisionError" in result.problem
    assert not (tmp_path / "00_failing.ipynb").exists()


def test_widget_views_and_bars_are_taken_out():
    bar = " 67%|██████▋   | 4/6 [00:01<00:00,  3.02it/s]\n"
    notebook = new_notebook(metadata={"widgets": {"state": {}}})
    notebook.cells = [
        new_code_cell(
            "x",
            outputs=[
                new_output("display_data", {WIDGET: {"model_id": "a"}, "text/plain": "0%|"}),
                new_output("stream", name="stderr", text=bar),
                new_output("stream", name="stderr", text=bar + "UserWarning: kept\n"),
                new_output("stream", name="stdout", text="keypoints | 3D\n"),
            ],
        )
    ]
    cleaned = clean(notebook)
    assert [o.text for o in cleaned.cells[0].outputs] == ["UserWarning: kept\n", "keypoints | 3D\n"]
    assert "widgets" not in cleaned.metadata
    assert len(notebook.cells[0].outputs) == 4  # the one given is as it was


def test_the_command_builds_a_series_and_leaves_what_fails_as_it_was(
    tmp_path, write_chapter, capsys
):
    write_chapter(tmp_path, "00_one", "# %%\nprint(scale)\n")
    write_chapter(tmp_path, "01_two", "# %%\n1 / 0\n")
    (tmp_path / "01_two.ipynb").write_text("the old one")
    with pytest.raises(SystemExit) as ended:
        main(["--folder", str(tmp_path)])
    assert ended.value.code == 1
    assert "1 of 2 notebooks failed" in capsys.readouterr().err
    assert '"laptop\\n"' in (tmp_path / "00_one.ipynb").read_text()
    assert (tmp_path / "01_two.ipynb").read_text() == "the old one"
