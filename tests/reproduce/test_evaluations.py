"""From the command's words to files, ledger and tables."""

import json

import numpy as np
import pytest
from PIL import Image

from hmrlab import get_scale
from hmrlab.bodies import load_body
from hmrlab.data.prepared import OWN, note_set, prepared_folder, read_set
from hmrlab.evaluation.result import Evaluation
from hmrlab.ledger import Ledger, record_run
from hmrlab.reproduce import evaluations
from hmrlab.reproduce.evaluations import evaluate_network, evaluations_tables, protocols_named
from hmrlab.tables.runs import runs_table

FRAMES = 3  # of each of two videos


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """Where all tests keep their synthetic people, so that these are made once."""
    return tmp_path_factory.mktemp("synthetic")


@pytest.fixture(autouse=True)
def home(tmp_path, synthetic, monkeypatch):
    """Nothing is written into the checkout, and no pictures are drawn."""
    folder = tmp_path / "home"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "synthetic").symlink_to(synthetic)
    monkeypatch.setenv("HMRLAB_HOME", str(folder))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    monkeypatch.setattr(evaluations, "save_worst", lambda *_: None)
    monkeypatch.setattr(evaluations, "BODY_DETAIL", "light")
    return folder


@pytest.fixture
def prepared_3dpw(home, tmp_path):
    """3DPW as `hmrlab data prepare` leaves it: two videos of three frames, two genders."""
    rng = np.random.default_rng(0)
    pictures = tmp_path / "3DPW"
    names = [f"imageFiles/video_{k // FRAMES}/image_{k:05d}.jpg" for k in range(2 * FRAMES)]
    for name in names:
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 255, (80, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(pictures / name)
    folder = prepared_folder("3dpw", "test")
    folder.mkdir(parents=True)
    n = len(names)
    pose = rng.normal(0, 0.2, (n, 72))
    pose[:, 0] += np.pi
    np.savez(
        folder / "records.npz", imgname=np.array(names), center=np.tile([30.0, 40.0], (n, 1)),
        scale=np.full(n, 0.3), pose=pose, shape=rng.normal(size=(n, 10)),
        gender=np.array(list("mfmfmf")),
    )  # fmt: skip
    note_set(folder, name="3dpw", split="test", images=pictures, count=n, skipped={},
             box_factor=1.2)  # fmt: skip
    return folder


def test_a_real_set_is_evaluated_recorded_and_warned_about(prepared_3dpw, home, hmrlab):
    done = hmrlab("evaluate", "shipped", "--on", "3dpw", "--scale", "smoke", "--device", "cpu")
    assert done.code == 0, done.err
    assert "3DPW, test split" in done.out
    assert "SYNTHETIC" not in done.out
    assert "2 sequences, since frames of one are alike (so few that they are rough)" in done.out
    assert "real labels are judged with the free body" in done.out
    assert "Source: Zhou et al., Sparseness Meets Deepness, CVPR 2016" in done.out
    (record,) = Ledger(home / "runs" / "ledger.jsonl").records()
    assert record.settings["protocol"] == "3dpw"
    folder = home / record.artifacts["folder"]
    result = Evaluation.load(folder)
    assert result.count == 2 * FRAMES
    value = record.metrics["3dpw/mpjpe_mm"]
    assert value == pytest.approx(result.values("mpjpe_mm").mean(), rel=1e-5)
    assert record.metrics["3dpw/mpjpe_mm_low"] <= value <= record.metrics["3dpw/mpjpe_mm_high"]
    assert json.loads((folder / "summary.json").read_text())["synthetic"] is False
    body = load_body("free", "full")
    bodies = result.predictions.params()
    joints = body.h36m(bodies.rotations, bodies.betas).numpy()
    ankle = joints[:, 6] - joints[:, 0]
    np.testing.assert_allclose(result.scores.joints[:, 0], ankle, atol=1e-4)


def test_pictures_of_ones_own_are_evaluated_in_the_picture_alone(prepared_3dpw, home, hmrlab):
    folder, about = prepared_folder("mine", "test"), read_set(prepared_3dpw)
    folder.mkdir(parents=True)
    part = np.random.default_rng(1).uniform(10, 50, (about.count, 24, 3)) * [1, 1, 0.02]
    with np.load(prepared_3dpw / "records.npz") as records:
        kept = {key: records[key] for key in ("imgname", "center", "scale")}
    origin = [f"mine/clip_{k // FRAMES}.mp4/frame {k}" for k in range(about.count)]
    np.savez(folder / "records.npz", part=part, origin=np.array(origin), **kept)
    note_set(folder, name="mine", split="test", images=about.images, count=about.count, skipped={},
             box_factor=1.2, source=OWN)  # fmt: skip
    done = hmrlab("evaluate", "shipped", "--on", "mine", "--scale", "smoke", "--device", "cpu")
    assert done.code == 0, done.err
    assert "nothing is known in 3D" in done.out
    assert "2D PCK@0.1" in done.out
    assert "2 sequences, since frames of one are alike" in done.out
    assert "MPJPE" not in done.out
    (record,) = Ledger(home / "runs" / "ledger.jsonl").records()
    result = Evaluation.load(home / record.artifacts["folder"])
    assert result.imgname.tolist() == origin
    for name in ("keypoint_error_percent", "pck_2d_percent"):
        assert record.metrics[f"mine/{name}"] == pytest.approx(result.values(name).mean())
    assert "mine" in hmrlab("table", "evaluations").out


def test_twins_are_evaluated_where_nothing_is_prepared(home, hmrlab, tmp_path):
    out = tmp_path / "results"
    done = hmrlab("evaluate", "shipped", "--on", "3dpw,lsp,studio-test", "--twins", "--scale",
                  "smoke", "--limit", "4", "--out", str(out), "--device", "cpu")  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.count("SYNTHETIC people") == 3
    assert "only the first 4 samples: a trial" in done.out
    assert "free body" not in done.out
    assert sorted(path.name for path in out.iterdir()) == ["studio-test", "twin-3dpw", "twin-lsp"]
    table = hmrlab("table", "evaluations").out
    heads = [line for line in table.splitlines() if line.startswith("| network")]
    assert len(heads) == 2  # joints and masks
    assert all("on (synthetic)" in head for head in heads)
    assert "twin:lsp (first 4)" in table
    records = Ledger(home / "runs" / "ledger.jsonl").records()
    assert [r.artifacts for r in records] == [{}] * 3  # not below the home
    assert runs_table(records).rows == ()
    assert "No runs recorded" in hmrlab("table", "runs").out


def test_real_and_synthetic_figures_never_share_a_table(prepared_3dpw):
    protocols = protocols_named("3dpw,twin:3dpw")
    scale = get_scale("smoke")
    records = [
        done.record
        for done in evaluate_network("shipped", protocols, scale, limit=4, progress=False)
    ]
    real, synthetic = evaluations_tables(records)
    assert [row[1] for row in real.rows] == ["3dpw (first 4)"]
    assert [row[1] for row in synthetic.rows] == ["twin:3dpw (first 4)"]
    assert "on" in real.header
    assert "on (synthetic)" in synthetic.header
    value = records[0].metrics["3dpw/mpjpe_mm"]
    assert real.rows[0][real.header.index("MPJPE, mm")].startswith(f"{value:.1f} (")


def test_what_is_missing_is_told_before_anything_is_evaluated(home, hmrlab):
    done = hmrlab("evaluate", "shipped", "--on", "wild-test,3dpw", "--scale", "smoke")
    assert done.code == 1
    assert "3dpw test is not prepared" in done.err
    assert "hmrlab data prepare 3dpw --root DIR" in done.err
    assert not (home / "runs").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("shipped", "--on", "4dpw"), 2, "no evaluation protocol '4dpw'"),
        (("shipped", "--on", ","), 2, "at least one evaluation protocol"),
        (("shipped", "--device", "tpu"), 2, "device 'tpu' is not one of"),
        (("gone.pt", "--on", "wild-test", "--scale", "smoke"), 1, "gone.pt"),
        (("nothing_of_that_name", "--scale", "smoke"), 2, "nothing_of_that_name"),
        (("keypoints_only", "--scale", "smoke"), 1, "hmrlab train keypoints_only"),
    ],
)
def test_mistakes_are_told(words, code, said, hmrlab):
    done = hmrlab("evaluate", *words)
    assert done.code == code
    assert said in done.err.replace("│", "").replace("\n", " ").replace("  ", " ")


def test_a_result_stands_where_no_renderer_works(home, monkeypatch):
    def nothing_draws(*_):
        raise RuntimeError("no renderer works here")

    monkeypatch.setattr(evaluations, "save_worst", nothing_draws)
    (done,) = evaluate_network(
        "shipped", protocols_named("twin:h36m-p2"), get_scale("smoke"), progress=False
    )
    assert "were not drawn: no renderer works here" in str(done)
    assert Evaluation.load(done.folder).count == 8
    assert len(Ledger(home / "runs" / "ledger.jsonl").records()) == 1


def test_the_same_settings_have_the_same_key_and_other_weights_another(home):
    scale, protocols = get_scale("smoke"), protocols_named("twin:h36m-p2")

    def run(**options):
        (done,) = evaluate_network("shipped", protocols, scale, progress=False, **options)
        return done.record

    one, same, other = run(), run(), run(limit=4)
    assert one.settings_hash == same.settings_hash != other.settings_hash
    assert one.metrics == same.metrics


def without(settings, metrics):
    """A record of an evaluation, with some of its values changed or (`...`) left out."""
    run = evaluations.EvaluationRun("net", "w", "lsp", "r", 64, 3, None, "free", 0)
    values = {"count": 4.0, "mask_f1": 0.5, "mask_f1_low": 0.4, "mask_f1_high": 0.6}
    given = (vars(run) | settings, {f"lsp/{name}": v for name, v in (values | metrics).items()})
    kept = [{name: v for name, v in each.items() if v is not ...} for each in given]
    return record_run(
        name="net on lsp", settings=kept[0], settings_hash="a", seed=0, metrics=kept[1], seconds=1
    )


@pytest.mark.parametrize(
    ("settings", "metrics", "says"),
    [
        (dict.fromkeys(("network", "protocol", "body"), ...), {}, "network: Field required"),
        ({"protocol": ["lsp"]}, {}, r"protocol: .* found \['lsp'\]"),
        ({"protocol": "4dpw"}, {}, "no evaluation protocol '4dpw'"),
        ({"limit": "all"}, {}, "limit: .* found 'all'"),
        ({}, {"count": ...}, "metrics without lsp/count"),
        ({}, {"mask_f1_high": ...}, "metrics without lsp/mask_f1_high"),
    ],
)
def test_a_record_that_lacks_what_a_row_takes_is_passed_over(settings, metrics, says):
    good = without({}, {})
    with pytest.warns(UserWarning, match=f"'net on lsp' .* is passed over: .*{says}"):
        (table,) = evaluations_tables([good, without(settings, metrics)])
    assert len(table.rows) == 1
