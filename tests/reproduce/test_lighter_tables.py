from dataclasses import replace

import pytest

from hmrlab import SCALES, preset
from hmrlab.keys import settings_key
from hmrlab.ledger import Ledger, RunRecord
from hmrlab.models.cost import Spread
from hmrlab.reproduce import lighter
from hmrlab.reproduce.costs import Cost, CostBook, CostPlan, Provenance, Timing, timing_name
from hmrlab.tables.recorded import SHOWN, find_recorded
from hmrlab.tables.runs import read_references

SMOKE = SCALES["smoke"]
KINDS = [
    timing_name("torch", "cpu", "fp32", 1),
    timing_name("torch", "cpu", "fp32", 64),
    timing_name("onnxruntime", "cpu", "fp32", 1),
]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Nothing here reads or writes the checkout's runs."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def record(name, seed=0, mpjpe=121.0):
    key = settings_key(preset(name, SMOKE, seed))
    metrics = {metric: mpjpe + 10 * k for k, metric in enumerate(SHOWN)}
    return RunRecord(
        name, {}, key, seed, "commit", {}, "a laptop", metrics, 1.0, f"2026-01-0{seed + 1}T", "", {}
    )


def cost(name, of="", peer="resnet50", ms=2.0, **changes):
    timing = Timing(Spread(ms, ms, ms), Spread(0.25, 0.2, 0.3))
    base = Cost(
        name, peer, of, 2_733_101, 2_187_427, 51_200_000, 10_951_000, 8_720_000, 242_000_000,
        dict.fromkeys(KINDS, timing),
    )  # fmt: skip
    return replace(base, **changes)


def book(*costs):
    made = {"command": "hmrlab table", "commit": "0123456789+dirty", "machine": "a laptop",
            "versions": {"torch": "2", "onnxruntime": "1"}, "threads": 1, "seed": 0,
            "date": "2026-01-01"}  # fmt: skip
    return CostBook("smoke", CostPlan(64, 9, 16), Provenance(**made), list(costs))


def row_of(table, name):
    (row,) = [row for row in table.rows if row[0] == name]
    return dict(zip(table.header, row, strict=True))


class TestRecorded:
    def test_seeds_come_together_and_other_settings_do_not(self):
        records = [record("backbone_small", 0, 120.0), record("backbone_small", 2, 123.0),
                   record("unpruned", 0, 1.0)]  # fmt: skip
        found = find_recorded("backbone_small", SMOKE, records)
        assert found.records == tuple(records[:2])
        assert str(found.score("studio/mpjpe_mm")) == "121.5 (120.0 to 123.0)"
        assert found.score("studio/never") is None
        assert find_recorded("backbone_small", SCALES["laptop"], records).records == ()

    def test_a_run_is_found_by_its_settings_not_its_name(self):
        renamed = replace(record("backbone_small"), name="by another name")
        assert find_recorded("backbone_small", SMOKE, [renamed]).records == (renamed,)

    def test_the_newest_of_one_seed_counts(self):
        again = record("backbone_small", 0, 99.0)
        found = find_recorded("backbone_small", SMOKE, [record("backbone_small"), again])
        assert found.records == (again,)
        assert found.cells() == ("99.0", "109.0", "119.0", "129.0", "1")


class TestBackbones:
    def test_all_encoders_are_compared_in_both_wirings(self):
        names = lighter.backbone_runs(SMOKE)
        runs = {encoder: preset(name, SMOKE) for encoder, name in names.items()}
        assert {"small", "resnet50", "densenet121", "densenet121:logits"} <= set(runs)
        assert all(run.prune is None and not run.init_from for run in runs.values())
        assert len({run.steps for run in runs.values()}) == 1  # equally long

    def test_scores_are_shown_and_blanks_say_how_to_fill_them(self):
        recorded = {
            name: find_recorded(training, SMOKE, [record("backbone_small")])
            for name, training in lighter.backbone_runs(SMOKE).items()
        }
        table = lighter.accuracy_table(
            lighter.backbone_rows(recorded, book(cost("small"), cost("densenet121")), SMOKE)
        )
        small = row_of(table, "small")
        assert small["parameters"] == "2,733,101"
        assert small["multiply-adds, M"] == "51.2"
        assert small["studio (synthetic): MPJPE, mm"] == "121.0"
        assert small["seeds"] == "1"
        blank = row_of(table, "densenet121")
        assert blank["parameters"] == "2,733,101"
        assert blank["wild (synthetic): PA-MPJPE, mm"] == "-"
        assert blank["seeds"] == "`hmrlab train backbone_densenet121 --scale smoke`"
        assert row_of(table, "resnet18")["parameters"] == "-"
        synthetic = [heading for heading in table.header if "MPJPE" in heading]
        assert len(synthetic) == 4
        assert all("(synthetic)" in heading for heading in synthetic)

    def test_times_stand_with_their_ratio_and_the_gpu_only_where_there_was_one(self):
        recorded = {"small": find_recorded("backbone_small", SMOKE, [])}
        known = book(cost("small", ms=2.0))
        table = lighter.cost_table(lighter.backbone_rows(recorded, known, SMOKE), known)
        small = row_of(table, "small")
        assert small["weights, MB"] == "11.0"
        assert small["training step of 16, MB"] == "242"
        assert small["torch, CPU, 1 picture: fp32, ms"] == "2.00 (0.250)"
        assert small["torch, CPU, 64 pictures: fp32, pictures/s"] == "32000 (0.250)"
        assert not any("GPU" in heading or "bf16" in heading for heading in table.header)

    def test_the_command_keeps_plot_and_records_and_measures_nothing(self, home, tmp_path):
        folder = tmp_path / "figures"
        Ledger(home / "runs" / "ledger.jsonl").append(record("backbone_small"))
        first = lighter.compare_backbones(SMOKE, folder)
        assert "not measured yet: python tools/measure_costs.py backbones" in first
        assert "1 recorded runs (2026-01-01; a laptop)" in first
        assert {path.name for path in folder.iterdir()} == {"backbones_smoke.png", "runs.jsonl"}
        assert read_references(folder) == [record("backbone_small")]
        book(cost("small")).save(folder / "backbones_smoke.json")
        again = lighter.compare_backbones(SMOKE, folder)
        assert "at commit 01234567 and changes to it on a laptop" in again
        assert again.count("| encoder ") == 2
        assert not (home / "data").exists()  # nothing was trained


class TestPruning:
    def test_every_pruned_network_stands_behind_its_unpruned_one(self):
        roots = lighter.pruning_runs()
        names = list(roots)
        assert names[:2] == ["unpruned", "tuned"]
        assert roots["channels_80"] == "unpruned"
        assert roots["train_ResNet50_P"] == "backbone_resnet50"
        assert all(names.index(root) <= names.index(name) for name, root in roots.items())
        assert "half_n3" not in roots

    @pytest.fixture
    def rows(self):
        records = [record("unpruned"), record("masks_20", mpjpe=122.0),
                   record("channels_50", mpjpe=400.0)]  # fmt: skip
        key = {name: settings_key(preset(name, SMOKE)) for name in lighter.pruning_runs()}
        scores = dict.fromkeys(SHOWN, 121.5)
        known = book(
            cost("unpruned", key["unpruned"]),
            cost("unpruned_int8", key["unpruned"], nonzero=None, scores=scores),
            cost("masks_20", key["masks_20"]),
            cost("masks_50", key["masks_50"]),  # of a record that is not known here
            cost("channels_50", key["channels_50"]),
        )
        recorded = {name: find_recorded(name, SMOKE, records) for name in lighter.pruning_runs()}
        return lighter.pruning_rows(recorded, known)

    def test_costs_stand_beside_the_scores_of_the_same_records(self, rows):
        table = lighter.pruning_table(rows)
        masked = row_of(table, "masks_20")
        assert masked["not zero"] == "2,187,427"
        assert masked["compressed, MB"] == "8.72"
        assert masked["onnxruntime, ms (of the unpruned's)"] == "2.00 (0.250)"
        assert masked["studio (synthetic): MPJPE, mm"] == "122.0"
        low = row_of(table, "unpruned_int8")
        assert low["not zero"] == "-"
        assert low["wild (synthetic): PA-MPJPE, mm"] == "121.5"
        assert row_of(table, "masks_50")["parameters"] == "-"
        assert row_of(table, "masks_50")["seeds"] == "`hmrlab train masks_50 --scale smoke`"
        assert "tools/measure_costs.py pruning" in row_of(table, "channels_50_int8")["seeds"]

    def test_the_plot_leaves_out_what_is_ruined_and_says_so(self, rows):
        figure = lighter.pruning_figure(rows, SMOKE)
        assert "1 with more than 1.5 times" in figure.get_suptitle()
        words = {text.get_text() for text in figure.axes[0].texts}
        assert words == {"unpruned", "unpruned, int8", "20%"}

    def test_families_are_told_apart(self, rows):
        families = {row.name: lighter.family_of(row) for row in rows}
        assert families["masks_raw_50"] == "masks, not trained after"
        assert families["channels_50_at_once"] == "channels, at once, fine-tuned"
        assert families["channels_50"] == "channels, fine-tuned"
        assert families["channels_50_int8"] == "int8"
        assert families["tuned"] == "not pruned"
