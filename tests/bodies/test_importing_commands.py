"""The commands, and what the doctor says."""

import pytest
from typer.testing import CliRunner

from hmrlab.cli import app
from hmrlab.doctor import look_at_body
from hmrlab.files import FileProblem


@pytest.fixture
def hmrlab():
    """Runs `hmrlab ARGUMENTS...` in this process; an error of the user's comes out as it is."""

    def run(*arguments):
        return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)

    return run


def test_a_folder_is_imported_and_then_listed(home, downloads, hmrlab, monkeypatch):
    before = hmrlab("body", "list").output
    assert "basicmodel_neutral" in before
    assert "not imported" in before
    done = hmrlab("body", "import", downloads)
    assert done.exit_code == 0
    assert "smpl_neutral     ready: HMRLAB_BODY=smpl (" in done.output
    assert "https://smpl.is.tue.mpg.de/modellicense.html" in done.output
    listed = hmrlab("body", "list").output
    assert "smpl_neutral     ready" in listed
    assert "smpl_male        not imported" in listed
    assert "gmm_08           imported" in listed
    info = hmrlab("body", "info", "smpl").output
    assert "6,890 vertices" in info
    assert "https://smpl.is.tue.mpg.de/modellicense.html" in info
    assert "LSP's parts by cube_parts.npy" in info
    assert "imported: smpl_neutral" in look_at_body().words
    monkeypatch.setenv("HMRLAB_BODY", "smpl")
    assert look_at_body().words.startswith("smpl, 6,890 vertices")


def test_a_body_that_waits_says_for_what(home, downloads, hmrlab):
    done = hmrlab("body", "import", downloads / "smpl" / "SMPL_NEUTRAL.pkl")
    assert "waits for J_regressor_extra.npy and J_regressor_h36m.npy" in done.output
    assert "fetch_data.sh" in done.output
    finding = look_at_body()
    assert finding.ok
    assert "smpl_neutral" in finding.remedy
    with pytest.raises(FileProblem, match="not complete yet"):
        hmrlab("body", "info", "smpl")


def test_companions_alone_are_kept_for_later(home, downloads, hmrlab):
    done = hmrlab("body", "import", downloads / "gmm_08.pkl")
    assert "Kept for the body, which is still to be imported." in done.output


def test_a_wrong_gender_is_an_error_of_usage(home, downloads, hmrlab):
    done = hmrlab("body", "import", downloads, "--gender", "other")
    assert done.exit_code == 2
    assert "--gender" in done.output


def test_a_body_that_was_not_imported_is_the_doctors_finding(home, monkeypatch):
    monkeypatch.setenv("HMRLAB_BODY", "smpl_male")
    finding = look_at_body()
    assert not finding.ok
    assert "basicmodel_m_lbs_10_207_0_v1.1.0.pkl" in finding.words
    assert "hmrlab body list" in finding.remedy
