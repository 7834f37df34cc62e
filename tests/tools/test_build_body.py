"""The command that builds the free body; what it built is tested with the bodies."""

import sys

import pytest
from build_body import main


def test_it_says_which_package_it_needs(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "anny", None)
    with pytest.raises(SystemExit) as ended:
        main(["--folder", str(tmp_path)])
    assert ended.value.code == 1
    assert "pip install 'hmrlab[body]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
