"""Packing a prepared set: the crops, the shards, going on after a kill, and what is read back."""

import json
import signal
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hmrlab.cli import app
from hmrlab.data.augment import AugmentationSettings
from hmrlab.data.dataset import MixedDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.data.packed import PackPlan, packed_folder, packed_problem, read_note
from hmrlab.data.packing import estimate, is_packed, pack, write_shard
from hmrlab.data.prepared import open_prepared, prepared_folder, read_set
from hmrlab.data.records import Records
from hmrlab.files import FileProblem
from hmrlab.geometry import crop_matrix

RESOLUTION = 32
PEOPLE = 23  # as `prepared` has them


def plan_for(folder, **changes):
    options = {"resolution": RESOLUTION, "rows_per_shard": 5, "store": "raw"} | changes
    return PackPlan(read_set(folder).records_sha256, **options)


def batches(dataset, augmentation=None, **changes):
    options = {"batch_size": 4, "resolution": RESOLUTION, "seed": 3, "shuffle": True} | changes
    return list(BatchLoader(dataset, augmentation=augmentation, **options))


# What is read back.


@pytest.mark.parametrize("augmentation", [None, AugmentationSettings()])
def test_raw_crops_give_the_very_batches_that_the_pictures_give(prepared, augmentation):
    folder = prepared()
    expected = batches(open_prepared("coco", "train"), augmentation)
    pack(folder, plan_for(folder), workers=1, progress=False)
    found = batches(open_prepared("coco", "train"), augmentation)
    for one, other in zip(expected, found, strict=True):
        for key, value in vars(one).items():
            torch.testing.assert_close(vars(other)[key], value, atol=1e-4, rtol=0, msg=key)
        assert torch.equal(one.images, other.images)


@pytest.mark.parametrize("augmentation", [None, AugmentationSettings()])
def test_jpegs_give_them_to_two_levels_of_256_on_average(prepared, augmentation):
    folder = prepared()
    expected = batches(open_prepared("coco", "train"), augmentation)
    pack(folder, plan_for(folder, store="jpeg"), workers=1, progress=False)
    found = batches(open_prepared("coco", "train"), augmentation)
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one.index, other.index)
        torch.testing.assert_close(other.keypoints_2d, one.keypoints_2d, atol=1e-4, rtol=0)
        difference = (one.images - other.images).abs() * 0.225 * 255
        assert difference.mean() < 2


def test_a_smaller_network_gets_the_same_view_of_larger_crops(prepared):
    """Crops for 96 px averaged three to one, and those of 32 px that the pictures give."""
    folder = prepared()
    options = {"shuffle": False, "batch_size": PEOPLE}
    (expected,) = batches(open_prepared("coco", "train"), **options)
    for store in ("raw", "jpeg"):
        pack(folder, plan_for(folder, resolution=96, store=store), workers=1, progress=False)
        (found,) = batches(open_prepared("coco", "train"), **options)
        torch.testing.assert_close(found.keypoints_2d, expected.keypoints_2d, atol=1e-4, rtol=0)
        assert ((found.images - expected.images).abs() * 0.225 * 255).mean() < 2.5


def test_keypoints_lie_where_they_lay_and_lead_back_to_the_frame(prepared):
    folder = prepared()
    plan = plan_for(folder)
    pack(folder, plan, workers=1, progress=False)
    original, packed = Records.open(folder / "records.npz"), packed_folder(folder)
    crops = Records.open(packed / "records.npz")
    center, scale = torch.from_numpy(original.center), torch.from_numpy(original.scale)
    back = torch.linalg.inv(crop_matrix(center, scale * plan.margin, plan.size).double())
    points = torch.from_numpy(crops.keypoints[..., :2]).double()
    again = points @ back[:, :2, :2].mT + back[:, None, :2, 2]
    np.testing.assert_allclose(again, original.keypoints[..., :2], atol=1e-3)
    np.testing.assert_array_equal(crops.pose, original.pose)
    np.testing.assert_array_equal(crops.joints_3d, original.joints_3d)
    assert crops.has_smpl.all()


def test_rows_keep_their_numbers_where_pictures_are_damaged(prepared):
    folder = prepared()
    pictures = read_set(folder).images
    (pictures / "2.png").unlink()
    whole = (pictures / "5.png").read_bytes()
    (pictures / "5.png").write_bytes(whole[: len(whole) // 2])
    note = pack(folder, plan_for(folder, store="jpeg"), workers=1, progress=False)
    names = Records.open(folder / "records.npz").imgname
    bad = np.flatnonzero(np.isin(names, ["2.png", "5.png"])).tolist()
    assert sorted(note.damaged) == bad
    assert "2.png is missing" in note.damaged[bad[0]]
    dataset = open_prepared("coco", "train")
    for part in (dataset, dataset.first(20), dataset.with_2d_alone()):
        seen = torch.cat([batch.index for batch in batches(part)]).tolist()
        assert sorted(seen) == [row for row in range(len(part)) if row not in bad]


def test_a_jpeg_that_is_damaged_in_its_shard_is_left_out(prepared):
    folder = prepared()
    plan = plan_for(folder, store="jpeg")
    pack(folder, plan, workers=1, progress=False)
    path = packed_folder(folder) / plan.shard_name(1)
    with path.open("rb") as file:
        offsets = np.lib.format.read_array(file)
        content = bytearray(path.read_bytes())
        first = file.tell()
    content[first + offsets[2] : first + offsets[3]] = bytes(offsets[3] - offsets[2])
    path.write_bytes(content)
    dataset = open_prepared("coco", "train")
    with pytest.warns(UserWarning, match=r"picture 2 of .*crops-00001\.jpegs is damaged"):
        seen = torch.cat([batch.index for batch in batches(dataset)]).tolist()
    assert sorted(seen) == [row for row in range(PEOPLE) if row != 5 + 2]


@pytest.mark.parametrize("store", ["raw", "jpeg"])
@pytest.mark.parametrize("change", ["missing", "cut"])
def test_without_one_whole_shard_the_pictures_are_read_and_that_is_said(prepared, store, change):
    folder = prepared()
    plan = plan_for(folder, store=store)
    pack(folder, plan, workers=1, progress=False)
    path = packed_folder(folder) / plan.shard_name(2)
    content = path.read_bytes()
    path.unlink()
    if change == "cut":
        path.write_bytes(content[:-10])
    with pytest.warns(UserWarning, match=r"lacks a file: crops-00002.*hmrlab data pack coco"):
        dataset = open_prepared("coco", "train")
    assert str(dataset.records.imgname[0]) == "0.png"


def test_a_packed_form_of_other_records_or_for_smaller_crops_is_not_taken(prepared):
    folder = prepared()
    pack(folder, plan_for(folder), workers=1, progress=False)
    assert open_prepared("coco", "train").records.imgname[0] == "crops-00000.npy#0"
    assert open_prepared("coco", "train", packed=False).records.imgname[0] == "0.png"
    with pytest.warns(UserWarning, match="is for 32 px, 64 px are wanted"):
        assert open_prepared("coco", "train", resolution=64).records.imgname[0] == "0.png"
    prepared(seed=1)
    with pytest.warns(UserWarning, match="the set was prepared again since"):
        assert open_prepared("coco", "train").records.imgname[0] == "0.png"


def test_packed_pictures_do_without_the_official_ones(prepared):
    folder = prepared()
    pack(folder, plan_for(folder), workers=1, progress=False)
    images = read_set(folder).images
    images.rename(images.with_name("unmounted"))
    assert len(batches(open_prepared("coco", "train"))) == 6
    with pytest.raises(FileProblem, match="not mounted"):
        open_prepared("coco", "train", packed=False)


def test_going_on_in_mid_epoch_neither_repeats_nor_skips(prepared):
    """With damaged pictures, in a mix of a packed set and one of picture files."""
    folder = prepared("coco")
    prepared("mpii", seed=1)
    (read_set(folder).images / "3.png").unlink()
    pack(folder, plan_for(folder, store="jpeg"), workers=1, progress=False)
    (read_set(prepared_folder("mpii", "train")).images / "4.png").unlink()

    def loader():
        parts = [open_prepared(name, "train") for name in ("coco", "mpii")]
        mixed = MixedDataset(parts, [0.5, 0.5])
        return BatchLoader(
            mixed, batch_size=4, resolution=RESOLUTION, seed=3, shuffle=True,
            augmentation=AugmentationSettings(),
        )  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = loader()
        expected = [*whole, *whole]
        first = loader()
        taken = [batch for batch, _ in zip(first, range(3), strict=False)]
        again = loader()
        again.restore({"epoch": 0, "batch": 3})
        rest = [*again, *again]
    for one, other in zip(expected, [*taken, *rest], strict=True):
        assert all(torch.equal(value, vars(other)[key]) for key, value in vars(one).items())


# The work.


@pytest.mark.parametrize("store", ["raw", "jpeg"])
def test_processes_make_the_files_that_one_makes(prepared, store):
    folder = prepared()
    made = []
    for workers in (1, 2):
        plan = plan_for(folder, store=store, rows_per_shard=12)
        pack(folder, plan, workers=workers, progress=False)
        packed = packed_folder(folder)
        made.append({path.name: path.read_bytes() for path in packed.iterdir()})
        packed.rename(packed.with_name(f"packed {workers}"))
    assert made[0] == made[1]
    suffix = "npy" if store == "raw" else "jpegs"
    assert set(made[0]) == {
        f"crops-00000.{suffix}", f"crops-00001.{suffix}", "packed.json", "records.npz",
    }  # fmt: skip


KILLED = """
import sys, time
from pathlib import Path
from hmrlab.data import packing

quick = packing.crop_box
packing.crop_box = lambda *given: (time.sleep(0.02), quick(*given))[1]
folder = Path(sys.argv[1])
packing.pack(folder, packing.read_plan(folder / "packed"), workers=1, progress=False)
"""


def begin_to_pack(folder, plan, monkeypatch):
    def stops(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hmrlab.data.packing.write_shard", stops)
        with pytest.raises(KeyboardInterrupt):
            pack(folder, plan, workers=1, progress=False)


def test_a_kill_leaves_whole_shards_and_the_next_run_goes_on(prepared, monkeypatch):
    folder = prepared()
    plan, packed = plan_for(folder), packed_folder(folder)
    begin_to_pack(folder, plan, monkeypatch)
    child = subprocess.Popen([sys.executable, "-c", KILLED, folder])
    try:
        deadline = time.monotonic() + 120
        while len(list(packed.glob("crops-*"))) < 2 and time.monotonic() < deadline:
            assert child.poll() is None
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    left = sorted(path.name for path in packed.glob("crops-*"))
    assert 2 <= len(left) < plan.shards(PEOPLE)
    assert all(len(np.load(packed / name)) == 5 for name in left)
    assert packed_problem(packed, plan.records_sha256) == "is not finished"
    assert not is_packed(folder, plan)
    assert estimate(folder, plan).bytes_done == sum((packed / n).stat().st_size for n in left)

    made = []
    monkeypatch.setattr(
        "hmrlab.data.packing.write_shard",
        lambda *given: (made.append(given[3]), write_shard(*given)),
    )
    resumed = pack(folder, plan, workers=1, progress=False)
    assert made == list(range(len(left), plan.shards(PEOPLE)))
    assert is_packed(folder, plan)
    assert not list(packed.glob(".*")) + list(packed.glob("damaged-*"))
    stored = np.concatenate([np.load(path) for path in sorted(packed.glob("crops-*"))])
    packed.rename(packed.with_name("resumed"))
    assert pack(folder, plan, workers=1, progress=False) == resumed
    afresh = np.concatenate([np.load(path) for path in sorted(packed.glob("crops-*"))])
    np.testing.assert_array_equal(stored, afresh)


def test_a_process_that_is_killed_is_told_of(prepared, no_child_starts):
    folder = prepared()
    plan = plan_for(folder, rows_per_shard=12)
    with pytest.raises(FileProblem, match=r"process at shard \d .*was killed.*--workers 1"):
        pack(folder, plan, workers=2, progress=False)
    assert not packed_folder(folder).exists()


def test_a_process_that_cannot_write_is_told_of(prepared, monkeypatch):
    folder = prepared()
    plan = plan_for(folder, rows_per_shard=12)
    begin_to_pack(folder, plan, monkeypatch)
    in_the_way = packed_folder(folder) / plan.shard_name(1)
    in_the_way.mkdir()
    with pytest.raises(
        FileProblem, match=r"could not write .*crops-00001\.npy.* kept in .*packed:"
    ):
        pack(folder, plan, workers=2, progress=False)
    in_the_way.rmdir()
    assert pack(folder, plan, workers=1, progress=False).count == PEOPLE


def test_what_another_plan_had_begun_is_not_gone_on_with(prepared):
    folder = prepared()
    pack(folder, plan_for(folder), workers=1, progress=False)
    pack(folder, plan_for(folder, store="jpeg"), workers=1, progress=False)
    note = read_note(packed_folder(folder))
    assert note.plan.store == "jpeg"
    assert not list(packed_folder(folder).glob("*.npy"))


def test_a_set_with_masks_or_without_its_pictures_is_refused(prepared):
    folder = prepared("lsp", "test", maskname=np.array([f"{k}.png" for k in range(PEOPLE)]))
    with pytest.raises(FileProblem, match="lsp test has masks"):
        pack(folder, plan_for(folder), progress=False)
    folder = prepared()
    for path in read_set(folder).images.iterdir():
        path.unlink()
    with pytest.raises(FileProblem, match="of 23 pictures tried none can be read"):
        estimate(folder, plan_for(folder, store="jpeg"))
    with pytest.raises(FileProblem, match="not one picture could be read"):
        pack(folder, plan_for(folder), workers=1, progress=False)
    read_set(folder).images.rmdir()
    with pytest.raises(FileProblem, match="not mounted"):
        estimate(folder, plan_for(folder))


def test_where_no_picture_could_be_read_nothing_is_left_that_keeps_the_next_run_from_it(prepared):
    folder = prepared()
    images = read_set(folder).images
    elsewhere = images.rename(images.with_name("elsewhere"))
    images.mkdir()
    with pytest.raises(FileProblem, match="not one picture could be read"):
        pack(folder, plan_for(folder), workers=1, progress=False)
    assert not packed_folder(folder).exists()
    images.rmdir()
    elsewhere.rename(images)
    assert pack(folder, plan_for(folder), workers=1, progress=False).damaged == {}


def test_a_folder_that_cannot_be_written_is_named(prepared):
    folder = prepared()
    packed_folder(folder).write_text("a file")
    with pytest.raises(FileProblem, match="packed"):
        pack(folder, plan_for(folder), workers=1, progress=False)


def test_the_estimate_is_near_and_a_full_disk_is_told_before_the_work(prepared, monkeypatch):
    folder = prepared()
    for store in ("raw", "jpeg"):
        plan = plan_for(folder, store=store, resolution=96)
        expected = estimate(folder, plan).bytes_needed
        note = pack(folder, plan, workers=1, progress=False)
        assert 0.9 * sum(note.files.values()) < expected < 1.6 * sum(note.files.values())
    full = SimpleNamespace(free=1000)
    monkeypatch.setattr("hmrlab.data.packing.shutil.disk_usage", lambda _: full)
    with pytest.raises(FileProblem, match=r"not enough room.*--store jpeg takes less"):
        estimate(folder, plan_for(folder))


# `hmrlab data pack`


def pack_command(*arguments):
    return CliRunner().invoke(app, ["data", "pack", *arguments])


def test_the_command_tells_what_it_takes_then_packs_then_says_what_was_left_out(prepared):
    folder = prepared()
    (read_set(folder).images / "7.png").write_bytes(b"no picture")
    result = pack_command("coco", "--resolution", "32", "--workers", "1")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("coco train: 23 people in crops of 57 px, jpegs of quality 95:")
    assert "21 people packed" in result.output
    assert "left out, their pictures are damaged: 2" in result.output
    assert json.loads((packed_folder(folder) / "packed.json").read_text())["count"] == 23
    assert "is packed already" in pack_command("coco", "--resolution", "32").output


def test_the_command_keeps_a_good_form_unless_forced(prepared):
    folder = prepared()
    plan = PackPlan(read_set(folder).records_sha256, "raw", 32)
    pack(folder, plan, workers=1, progress=False)
    result = pack_command("coco", "--resolution", "64")
    assert isinstance(result.exception, FileProblem)
    assert "packed already, as raw for 32 px" in str(result.exception)
    assert pack_command("coco", "--resolution", "64", "--workers", "1", "--force").exit_code == 0
    assert read_note(packed_folder(folder)).plan.resolution == 64


def test_the_command_says_how_to_prepare_and_what_can_be_chosen(prepared):
    result = pack_command("coco")
    assert "hmrlab data prepare coco" in str(result.exception)
    prepared()
    assert "unknown store 'png'" in pack_command("coco", "--store", "png").output
