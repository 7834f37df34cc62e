import re

import pytest

from hmrlab.files import FileProblem
from hmrlab.viewer import BodyViewer, write_page
from hmrlab.viewer.pages import page_text
from hmrlab.viewer.widget import viewer_script

MOST = 1_500_000  # bytes of a page beyond the shared script


@pytest.mark.parametrize("detail", ["light", "full"])
def test_a_page_with_a_body_is_small(detail, tmp_path):
    from hmrlab.bodies import load_body

    path = BodyViewer(load_body("free", detail)).to_html(tmp_path / "page.html")
    assert path.stat().st_size - len(viewer_script()[1]) < MOST


def test_viewers_of_one_page_share_body_and_script(light):
    one = len(page_text([BodyViewer(light)]))
    three = len(page_text([BodyViewer(light) for _ in range(3)]))
    assert three - one < 200_000


def test_a_users_own_body_is_not_written_unless_they_say_so(own_body, tmp_path):
    viewer = BodyViewer(own_body)
    assert not viewer.free
    path = tmp_path / "page.html"
    with pytest.raises(FileProblem, match=r"licence forbids.*include_body=True"):
        viewer.to_html(path)
    assert not path.exists()
    assert viewer.to_html(path, include_body=True).stat().st_size > 500_000


def test_a_machine_that_cannot_render_has_a_viewer_all_the_same(light, monkeypatch):
    def fails(*_):
        raise RuntimeError("no renderer works here")

    monkeypatch.setattr("hmrlab.viewer.widget.poster_png", fails)
    viewer = BodyViewer(light)
    with pytest.warns(UserWarning, match="no renderer works here"):
        data, _ = viewer._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    with pytest.warns(UserWarning, match="no still picture"):
        assert "data-hmrlab" in page_text([viewer])


def test_words_cannot_break_out_of_the_page(light):
    nasty = "</script><script>alert(1)</script><!--"
    text = page_text([BodyViewer(light, names=[nasty], title=nasty)], title=nasty)
    assert "alert(1)</script>" not in text
    assert text.count("<script") == text.count("</script>")


def test_a_page_asks_for_nothing_outside(light):
    text = page_text([BodyViewer(light)])
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//|import\(\s*['\"]https?:", text)


def test_a_page_that_cannot_be_written_says_so(light, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(FileProblem, match="could not write"):
        write_page(blocked / "page.html", [BodyViewer(light)])
