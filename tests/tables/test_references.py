import os
from dataclasses import replace

import pytest

from hmrlab.files import FileProblem
from hmrlab.ledger import Ledger, record_run
from hmrlab.tables.runs import keep_references, known_records, read_references


def a_record(key="a", *, machine="a laptop", mpjpe=100.0, date="2026-01-01T00:00:00+00:00"):
    record = record_run(
        name="run", settings={}, settings_hash=key, seed=0, metrics={"studio/mpjpe_mm": mpjpe},
        seconds=1.0,
    )  # fmt: skip
    return replace(record, machine=machine, date=date)


def test_results_of_several_goes_come_together(tmp_path):
    first, second = a_record("a"), a_record("b", machine="a GPU")
    keep_references(tmp_path, [first])
    keep_references(tmp_path, [second])
    assert read_references(tmp_path) == [first, second]


def test_a_machine_replaces_its_own_result_and_no_other(tmp_path):
    ours, theirs = a_record(mpjpe=1.0), a_record(machine="a GPU", mpjpe=2.0)
    keep_references(tmp_path, [ours, theirs])
    again = a_record(mpjpe=3.0)
    keep_references(tmp_path, [again])
    assert read_references(tmp_path) == [theirs, again]


def test_known_is_the_newest_of_references_and_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    old, new = a_record("a"), a_record("a", date="2026-02-01T00:00:00+00:00")
    only_here = a_record("b")
    keep_references(tmp_path / "figures", [new])
    ledger = Ledger(tmp_path / "runs" / "ledger.jsonl")
    for record in (old, only_here):
        ledger.append(record)
    assert known_records(tmp_path / "figures") == [only_here, new]
    assert known_records(tmp_path / "nothing") == [old, only_here]


def test_a_line_that_is_no_record_is_named(tmp_path):
    path = keep_references(tmp_path, [a_record()])
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(FileProblem, match=r"runs.jsonl, line 2, is no record"):
        keep_references(tmp_path, [a_record("b")])
    assert path.read_text().endswith("{}\n")  # and nothing is lost


def test_what_is_no_file_in_the_references_place_is_told(tmp_path):
    os.mkfifo(tmp_path / "runs.jsonl")
    with pytest.raises(FileProblem, match=r"runs\.jsonl is a pipe"):
        read_references(tmp_path)
    (tmp_path / "runs.jsonl").unlink()
    (tmp_path / "runs.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(FileProblem, match=r"runs\.jsonl, line 1, is no record"):
        read_references(tmp_path)
