import pytest
from build_notebooks import code_differences

from hmrlab.files import FileProblem
from hmrlab.reproduce.sources import (
    load_notebook,
    notebooks_folder,
    read_series,
    read_source,
)


@pytest.fixture
def folder(tmp_path, write_chapter):
    write_chapter(tmp_path, "00_start", "# %%\nprint(1)\n", title="Start · here")
    write_chapter(tmp_path, "01_body", "# %%\nprint(1)\n\n# %%\nprint(1)\n", needs="00_start")
    write_chapter(tmp_path, "10_late", "# %%\nprint(1)\n", needs="00_start, 01_body")
    return tmp_path


def test_chapters_are_read_in_order_with_what_they_need(folder):
    series = read_series(folder)
    assert [source.name for source in series] == ["00_start", "01_body", "10_late"]
    assert series[0].title == "Start · here"
    assert [source.needs for source in series] == [(), ("00_start",), ("00_start", "01_body")]


@pytest.mark.parametrize("wish", ["01_body", "01", "1"])
def test_a_chapter_is_chosen_by_name_or_number(folder, wish):
    assert [source.name for source in read_series(folder, [wish])] == ["01_body"]


def test_an_unknown_chapter_is_named_with_those_there_are(folder):
    with pytest.raises(FileProblem, match=r"no chapter '07'.*00_start, 01_body, 10_late"):
        read_series(folder, ["07"])


def test_a_need_must_come_before(folder, write_chapter):
    write_chapter(folder, "00_start", "", needs="01_body")
    with pytest.raises(FileProblem, match="needs '01_body', which does not come before it"):
        read_series(folder)


def test_a_source_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileProblem, match="no chapters"):
        read_series(tmp_path)
    with pytest.raises(FileProblem, match=r"01_gone\.py"):
        read_source(tmp_path / "01_gone.py")
    (tmp_path / "02_bytes.py").write_bytes(b"\xff\xfe")
    with pytest.raises(FileProblem, match=r"02_bytes\.py: cannot be read"):
        read_source(tmp_path / "02_bytes.py")
    with pytest.raises(FileProblem, match=r"called NN_name\.py"):
        read_source(tmp_path / "notes.py")


def test_cell_ids_do_not_change_and_are_unique(folder):
    path = folder / "source" / "01_body.py"
    ids = [cell.id for cell in load_notebook(path).cells]
    assert ids == [cell.id for cell in load_notebook(path).cells]
    assert len(set(ids)) == len(ids) == 4


def test_differences_in_code_are_found(folder):
    path = folder / "source" / "01_body.py"
    source, built = load_notebook(path), load_notebook(path)
    assert code_differences(source, built) == []
    built.cells[2].source = "print(2)"
    built.cells[3].metadata["tags"] = ["solution"]
    first, second = code_differences(source, built)
    assert first == "cell 3: its text differs: 'print(1)' against 'print(2)'"
    assert "cell 4: its tags differ" in second
    built.cells.pop()
    assert code_differences(source, built) == ["4 cells in the source, 3 in the notebook"]


def test_outputs_are_no_difference(folder):
    path = folder / "source" / "01_body.py"
    built = load_notebook(path)
    built.cells[2].outputs = ["anything"]
    assert code_differences(load_notebook(path), built) == []


def test_the_checkout_has_notebooks():
    assert (notebooks_folder() / "source").is_dir()
