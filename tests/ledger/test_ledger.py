import errno
import getpass
import json
import os
import re
import socket
import subprocess
import sys
import warnings
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from hmrlab.files import FileProblem
from hmrlab.ledger import (
    Ledger,
    RunRecord,
    current_command,
    describe_machine,
    installed_gpu,
    record_run,
    versions,
)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs" / "ledger.jsonl")


@pytest.fixture(scope="module")
def record():
    return record_run(
        name="keypoints_only",
        settings={"steps": 6, "sizes": (64, 96), "losses": {"pose": 0.0}},
        settings_hash="a" * 64,
        seed=3,
        metrics={"studio/mpjpe_mm": np.float32(255.5), "wild/mpjpe_mm": float("nan")},
        seconds=1.25,
        artifacts={"folder": "runs/trainings/one"},
        command="hmrlab train keypoints_only",
    )


def test_what_is_appended_is_read_back(ledger, record):
    ledger.append(record)
    ledger.append(replace(record, seed=4))
    assert [found.seed for found in ledger.records()] == [3, 4]
    found = ledger.records()[0]
    assert found.settings == {"steps": 6, "sizes": [64, 96], "losses": {"pose": 0.0}}
    assert found.metrics["studio/mpjpe_mm"] == 255.5
    assert np.isnan(found.metrics["wild/mpjpe_mm"])
    assert replace(found, metrics={}) == replace(record, metrics={})


def test_no_ledger_yet_means_no_records(ledger):
    assert ledger.records() == []
    assert ledger.find("a" * 64) is None


def test_find_gives_the_newest_record_with_the_settings(ledger, record):
    for seconds, key in [(1.0, "a"), (2.0, "a"), (3.0, "b")]:
        ledger.append(replace(record, settings_hash=key * 64, seconds=seconds))
    assert ledger.find("a" * 64).seconds == 2.0
    assert ledger.find("c" * 64) is None


def test_find_passes_over_records_whose_files_are_gone(ledger, record, tmp_path):
    (tmp_path / "runs/trainings/one").mkdir(parents=True)
    ledger.append(replace(record, seconds=1.0))
    ledger.append(replace(record, seconds=2.0, artifacts={"folder": "runs/trainings/gone"}))
    assert ledger.find("a" * 64, artifacts_under=tmp_path).seconds == 1.0
    (tmp_path / "runs/trainings/one").rmdir()
    assert ledger.find("a" * 64, artifacts_under=tmp_path) is None


def test_a_torn_last_line_is_reported_and_kept_aside(ledger, record):
    ledger.append(record)
    torn = record.to_json()[:40].encode()
    with open(ledger.path, "ab") as file:
        file.write(torn)
    with pytest.warns(UserWarning, match="line 2: passed over"):
        assert len(ledger.records()) == 1
    with pytest.warns(UserWarning, match=r"moved to ledger\.jsonl\.torn"):
        ledger.append(replace(record, seed=9))
    assert ledger.path.with_name("ledger.jsonl.torn").read_bytes() == torn + b"\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [found.seed for found in ledger.records()] == [3, 9]


@pytest.mark.parametrize("bad", ["[1]", '{"name": "x"}', "\x00", "nonsense"])
def test_a_foreign_line_is_passed_over_by_its_number(ledger, record, bad):
    ledger.append(record)
    with open(ledger.path, "a") as file:
        file.write(bad + "\n")
    ledger.append(record)
    with pytest.warns(UserWarning, match="line 2"):
        assert len(ledger.records()) == 2


def test_a_record_of_a_newer_version_is_read(ledger, record):
    newer = json.loads(record.to_json()) | {"energy_wh": 3}
    assert RunRecord.from_json(json.dumps(newer)).name == record.name


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger, record, monkeypatch):
    ledger.append(record)
    before = ledger.path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:10]))
    with pytest.raises(OSError, match="full") as caught:
        ledger.append(record)
    assert caught.value.errno == errno.ENOSPC
    assert ledger.path.read_bytes() == before


def test_many_processes_append_without_harm(ledger, record):
    program = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from hmrlab.ledger import Ledger, RunRecord\n"
        "record = RunRecord.from_json(sys.argv[2])\n"
        "for index in range(40):\n"
        "    Ledger(sys.argv[1]).append(replace(record, seed=int(sys.argv[3]) + index))\n"
    )
    line = replace(record, settings={"long": "x" * 20_000}).to_json()
    workers = [
        subprocess.Popen([sys.executable, "-c", program, str(ledger.path), line, str(start)])
        for start in (0, 100, 200)
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seeds = [found.seed for found in ledger.records()]
    assert sorted(seeds) == [start + index for start in (0, 100, 200) for index in range(40)]


def test_a_record_says_where_and_with_what(record):
    assert set(record.versions) == {"python", "torch", "torchvision", "numpy", "hmrlab"}
    assert record.versions == versions()
    assert record.machine == describe_machine()
    assert re.fullmatch(r"[0-9a-f]{40}(\+dirty)?|unknown", record.commit)
    assert abs(datetime.fromisoformat(record.date) - datetime.now(UTC)).total_seconds() < 600


def test_the_machine_is_described_without_names():
    words = describe_machine(accelerator="NVIDIA H200")
    assert re.search(r"\d+ cores?, ", words)
    assert "NVIDIA H200" in words
    assert "no GPU" in describe_machine()
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words.split()


def test_the_gpu_is_named_by_its_driver(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Card A'; echo 'Card B'; echo 'Card A'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert installed_gpu() == "2 x Card A, Card B"
    tool.write_text("#!/bin/sh\necho 'no driver' >&2; exit 9\n")
    assert installed_gpu() is None


def test_the_command_carries_no_folders(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/.venv/bin/hmrlab", "train", "with_smpl"])
    assert current_command() == "hmrlab train with_smpl"
    monkeypatch.setattr(sys, "argv", ["/x/ipykernel_launcher.py", "-f", "/x/kernel.json"])
    assert current_command() == "notebook"


@pytest.mark.parametrize("path", ["/runs/one", "../one", "runs/../../one"])
def test_artifacts_outside_the_home_are_refused(path):
    with pytest.raises(ValueError, match="relative to hmrlab's home"):
        record_run(
            name="x",
            settings={},
            settings_hash="a",
            seed=0,
            metrics={},
            seconds=0,
            artifacts={"folder": path},
        )


def changed(record, **values):
    """A row with other values, or without those that are `...`."""
    row = json.loads(record.to_json()) | values
    return json.dumps({name: value for name, value in row.items() if value is not ...})


NESTED = "[" * 100_000


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"settings": []}, r"settings: .* found \[\]"),
        ({"settings": None}, "settings: .* found None"),
        ({"settings": "none"}, "settings: .* found 'none'"),
        ({"date": None}, "date: .* found None"),
        ({"date": 20260101}, "date: .* found 20260101"),
        ({"date": "yesterday"}, "date: .*'yesterday'"),
        ({"settings_hash": ["a"]}, r"settings_hash: .* found \['a'\]"),
        ({"name": None}, "name: .* found None"),
        ({"name": ["a"]}, r"name: .* found \['a'\]"),
        ({"metrics": None}, "metrics: .* found None"),
        ({"metrics": [1.0]}, r"metrics: .* found \[1.0\]"),
        ({"metrics": {"studio/mpjpe_mm": "12"}}, "metrics.studio/mpjpe_mm: .* found '12'"),
        ({"seconds": "12"}, "seconds: .* found '12'"),
        ({"seconds": None}, "seconds: .* found None"),
        ({"seconds": 10**400}, "seconds: inf is no time"),
        ({"seconds": float("nan")}, "seconds: nan is no time"),
        ({"seconds": -1}, "seconds: -1.0 is no time"),
        ({"seed": 1.5}, "seed: .* found 1.5"),
        ({"seed": ...}, "seed: Field required"),
        ({"artifacts": {"folder": "../../etc"}}, "relative to hmrlab's home"),
        ({"command": "x" * 5_000_000}, "a row of 5,0.* bytes"),
    ],
)  # fmt: skip
def test_a_row_of_another_kind_is_passed_over_with_its_place(ledger, record, values, words):
    good = record.to_json()
    ledger.path.parent.mkdir()
    ledger.path.write_text(f"{good}\n{changed(record, **values)}\n{good}\n")
    with pytest.warns(UserWarning, match=rf"ledger\.jsonl, line 2: passed over.*{words}"):
        assert len(ledger.records()) == 2


@pytest.mark.parametrize(
    "line",
    [
        NESTED.encode(),
        b'{"name": "x", "settings": {"a": ' + NESTED.encode() + b"}}",
        b'{"name": "\xff"}',
        b'{"name": "\\udcff"}',
        b'{"seed": 1' + b"0" * 5000 + b"}",
    ],
)
def test_a_row_that_no_reader_takes_is_passed_over(ledger, record, line):
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(line + b"\n" + record.to_json().encode() + b"\n")
    with pytest.warns(UserWarning, match=r"line 1: passed over.*not readable as JSON"):
        assert len(ledger.records()) == 1


def test_names_that_are_no_utf8_are_kept_in_words(ledger, record):
    ledger.append(replace(record, command="hmrlab evaluate caf\udce9.pt"))
    (found,) = ledger.records()
    assert found.command == r"hmrlab evaluate caf\udce9.pt"


def test_what_is_no_file_in_the_ledgers_place_is_told(ledger, record):
    ledger.path.mkdir(parents=True)
    with pytest.raises(FileProblem, match=r"ledger\.jsonl is a folder; a file is expected"):
        ledger.records()
    ledger.path.rmdir()
    os.mkfifo(ledger.path)
    with pytest.raises(FileProblem, match=r"ledger\.jsonl is a pipe"):
        ledger.find("a")
    with pytest.raises(OSError, match="has to be a regular file"):
        ledger.append(record)
    ledger.path.unlink()
    ledger.path.symlink_to(ledger.path)
    with pytest.raises(FileProblem, match="a link that leads back to itself"):
        ledger.records()


def test_a_ledger_beyond_all_measure_is_not_read(ledger):
    ledger.path.parent.mkdir()
    with open(ledger.path, "wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(FileProblem, match=r"larger than the 67,108,864 bytes.*Move it away"):
        ledger.records()


def test_to_import_the_ledger_takes_the_standard_library_only():
    program = (
        "import sys; import hmrlab.ledger; "
        "print([name for name in ('numpy', 'torch', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
