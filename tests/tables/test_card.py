"""The table of equal time on a GPU."""

from dataclasses import replace
from pathlib import Path

import pytest

from hmrlab import get_scale, preset
from hmrlab.keys import settings_key
from hmrlab.ledger import RunRecord
from hmrlab.tables.recorded import SHOWN_ON_CARD as SHOWN
from hmrlab.tables.recorded import card_caption, card_rows, card_runs, card_table, compare_on_card
from hmrlab.tables.runs import keep_references

ROOT = Path(__file__).parents[2]
GPU = get_scale("gpu")
MACHINE = "A Processor, 16 cores, 128 GiB memory, NVIDIA H100 80GB HBM3, Linux"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))


def record(name, seed=0, speed=2000.0):
    metrics = {metric: 100.0 + seed + k for k, metric in enumerate(SHOWN)}
    metrics |= {"images_per_second": speed, "peak_memory_gigabytes": 21.26}
    key = settings_key(preset(name, GPU, seed))
    settings = {"steps_used": 937, "scale": {"name": "gpu"}}
    return RunRecord(
        name, settings, key, seed, "commit", {}, MACHINE, metrics, 60.0, "2026-01-01T", "", {}
    )


def test_what_is_recorded_is_shown_and_the_rest_says_how_to_fill_it(tmp_path):
    keep_references(tmp_path, [record("card_resnet50"), record("card_resnet50", 1, 2100.0)])
    text = compare_on_card(GPU, tmp_path)
    cells = {
        line.split(" | ")[0].strip("| "): [cell.strip(" |") for cell in line.split(" | ")[1:]]
        for line in text.splitlines()
        if line.startswith("| ")
    }
    assert cells["resnet50"][:5] == ["26,977,501", "2,050", "21.3", "937", "100.5 (100.0 to 101.0)"]
    assert cells["resnet50"][-1] == "2"
    assert cells["densenet201, logits"][1:] == ["-"] * 11 + ["`make gpu`"]
    assert "Equal time: 60 s on NVIDIA H100 80GB HBM3 for each" in text
    assert cells["resnet50, 20 % pruned, trained on"][-1] == "`make gpu`"
    assert "Scored on synthetic test people" in text


def test_every_encoder_is_there_in_both_wirings():
    encoders = [preset(name, GPU).encoder for name in card_runs()]
    assert len(set(encoders)) == 14
    assert [name for name in encoders if f"{name}:logits" in encoders] == encoders[::2]


def test_the_readme_shows_the_table_of_what_is_recorded():
    rows = card_rows(GPU, ROOT / "figures")
    readme = (ROOT / "README.md").read_text()
    for cells in card_table(rows, GPU).rows:
        assert f"| {' | '.join(cells)} |" in readme
    assert card_caption(rows, GPU) in readme


def test_a_run_of_other_settings_is_not_shown(tmp_path):
    keep_references(tmp_path, [replace(record("card_resnet50"), settings_hash="0" * 64)])
    assert "a GPU for each" in compare_on_card(GPU, tmp_path)
