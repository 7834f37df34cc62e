"""`hmrlab data pack`."""

import json

from typer.testing import CliRunner

from hmrlab.cli import app
from hmrlab.data.packed import PackPlan, packed_folder, read_note
from hmrlab.data.packing import pack
from hmrlab.data.prepared import read_set
from hmrlab.files import FileProblem


def run(*arguments):
    return CliRunner().invoke(app, ["data", "pack", *arguments])


def test_the_command_tells_what_it_takes_then_packs_then_says_what_was_left_out(prepared):
    folder = prepared()
    (read_set(folder).images / "7.png").write_bytes(b"no picture")
    result = run("coco", "--resolution", "32", "--workers", "1")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("coco train: 23 people in crops of 57 px, jpegs of quality 95:")
    assert "21 people packed" in result.output
    assert "left out, their pictures are damaged: 2" in result.output
    assert json.loads((packed_folder(folder) / "packed.json").read_text())["count"] == 23
    assert "is packed already" in run("coco", "--resolution", "32").output


def test_the_command_keeps_a_good_form_unless_forced(prepared):
    folder = prepared()
    plan = PackPlan(read_set(folder).records_sha256, "raw", 32)
    pack(folder, plan, workers=1, progress=False)
    result = run("coco", "--resolution", "64")
    assert isinstance(result.exception, FileProblem)
    assert "packed already, as raw for 32 px" in str(result.exception)
    assert run("coco", "--resolution", "64", "--workers", "1", "--force").exit_code == 0
    assert read_note(packed_folder(folder)).plan.resolution == 64


def test_the_command_says_how_to_prepare_and_what_can_be_chosen(prepared):
    result = run("coco")
    assert "hmrlab data prepare coco" in str(result.exception)
    prepared()
    assert "unknown store 'png'" in run("coco", "--store", "png").output
