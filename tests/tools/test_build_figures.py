import json
import re
from pathlib import Path

import numpy as np
import pytest
from build_figures import SHOWN_RUNS, TWISTS, betas_figure, make_figures, twist_figure
from PIL import Image

from hmrlab import get_scale, preset, run_training
from hmrlab.ledger import RunRecord


def test_the_shapes_are_shown_in_three_rows_of_ten():
    figure = betas_figure()
    assert len(figure.axes) == 30
    shown = [axis.images[0].get_array() for axis in figure.axes]
    assert all((np.asarray(picture) < 250).mean() > 0.03 for picture in shown)
    assert not np.array_equal(shown[0], shown[20])
    assert np.array_equal(shown[10], shown[19])  # the average, ten times


def test_the_twist_is_shown_in_steps():
    assert len(twist_figure().axes) == len(TWISTS)


def test_figures_come_with_the_rows_they_were_made_from(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    smoke = get_scale("smoke")
    results = [run_training(preset(name, smoke), progress=False) for name in SHOWN_RUNS]
    written = make_figures(tmp_path / "figures", results, [result.record for result in results])
    assert [path.name for path in written] == [
        "free_body_betas.png", "free_body_twist.png", "first_light.png", "provenance.json",
        "runs.jsonl",
    ]  # fmt: skip
    for path in written[:3]:
        with Image.open(path) as image:
            assert min(image.size) > 100
    content = json.loads(written[3].read_text())
    rows = content["figures"]["first_light.png"]
    assert [row["name"] for row in rows] == list(SHOWN_RUNS)
    kept = [RunRecord.from_json(line) for line in written[4].read_text().splitlines()]
    assert kept == [result.record for result in results]
    assert rows[0]["metrics"] == pytest.approx(results[0].metrics)
    assert {"command", "commit", "machine", "versions"} <= set(content)


def test_the_readme_quotes_the_recorded_runs():
    """Each row of its table of results, column by column, as rounded there."""
    metrics = {
        "MPJPE": ("mpjpe_mm", 1), "PA-MPJPE": ("pa_mpjpe_mm", 1),
        "rotation error, mean of 24 joints": ("rotation_error_deg", 1),
        "twist error at the elbows": ("elbow_twist_error_deg", 1),
        "joints twisted beyond what a person can": ("beyond_limits_percent", 1),
    }  # fmt: skip
    root = Path(__file__).parents[2]
    content = json.loads((root / "figures" / "provenance.json").read_text())
    rows = {row["name"]: row["metrics"] for row in content["figures"]["first_light.png"]}
    found = 0
    for line in (root / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if cells[0] not in metrics:
            continue
        name, factor = metrics[cells[0]]
        for run, cell in zip(SHOWN_RUNS, cells[2:], strict=True):
            value, digits = re.match(r"(\d+(?:\.(\d+))?)", cell).groups()
            assert float(value) == round(factor * rows[run][f"studio/{name}"], len(digits or ""))
        found += 1
    assert found == len(metrics)


def test_the_readme_quotes_the_loop_as_recorded():
    """Each mean over the three seeds is that of the rows in `figures/runs.jsonl`."""
    names = ("half_unpaired_none", "half_unpaired_static_adam", "half_unpaired_adam")
    metrics = {
        "MPJPE, mean of seeds": "mpjpe_mm",
        "PA-MPJPE, mean of seeds": "pa_mpjpe_mm",
        "rotation error, mean of seeds": "rotation_error_deg",
    }
    root = Path(__file__).parents[2]
    rows = [json.loads(line) for line in (root / "figures" / "runs.jsonl").open()]
    found = 0
    for line in (root / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if cells[0] not in metrics:
            continue
        for name, cell in zip(names, cells[1:], strict=True):
            seeds = [r["metrics"][f"wild/{metrics[cells[0]]}"] for r in rows if r["name"] == name]
            assert len(seeds) == 3
            assert float(re.match(r"[\d.]+", cell).group()) == round(sum(seeds) / 3, 1)
        found += 1
    assert found == len(metrics)


def test_the_readme_quotes_the_trainings_of_the_later_chapters():
    """Each row of the table that begins with a training's name: means over its seeds."""
    root = Path(__file__).parents[2]
    lines = (root / "README.md").read_text().splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("| training | seeds |"))
    metrics = ("studio/mpjpe_mm", "studio/pa_mpjpe_mm", "studio/rotation_error_deg",
               "wild/mpjpe_mm")  # fmt: skip
    newest = {}
    for row in map(json.loads, (root / "figures" / "runs.jsonl").open()):
        if row["settings"]["scale"]["name"] == "laptop":
            newest[row["name"], row["seed"]] = row["metrics"]
    rows = [line for line in lines[start + 2 :] if line.startswith("| `")]
    assert len(rows) > 10
    for line in rows:
        name, seeds, *cells = (cell.strip(" `") for cell in line.strip("| ").split("|"))
        if name.startswith(("notebooks", "hmrlab", "data", "smoke")):
            break
        found = [metrics for (run, _), metrics in newest.items() if run == name]
        assert len(found) == int(seeds), name
        for metric, cell in zip(metrics, cells, strict=True):
            mean = sum(values[metric] for values in found) / len(found)
            assert cell == f"{mean:.1f}", (name, metric)
