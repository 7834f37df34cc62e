"""Nothing that a pickle says is done: no crash, no import, no name looked up."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from attacks import ATTACKS, POINTER
from pickles import dictionary, dtype, scalar

SCRIPT = Path(__file__).parents[1] / "support" / "in_a_process.py"


def run(*words: object) -> dict:
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"ended by {done.returncode}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, list[str]]:
    """All attacks, read in one process, where a crash would be seen."""
    return run("attacks", tmp_path_factory.mktemp("attacks"))


@pytest.mark.parametrize("words", ATTACKS)
def test_an_attack_is_refused_with_a_message_by_every_reader(outcomes, words):
    for outcome in outcomes[words]:
        assert "attack.pkl" in outcome
        assert "could run code" in outcome


def test_a_forged_type_makes_numpys_own_unpickling_follow_a_pointer(tmp_path):
    """So the attacks above are ones, with a numpy that does not look."""
    path = tmp_path / "forged.pkl"
    path.write_bytes(dictionary(a=scalar(dtype("V8", "|", flags=61, size=8), POINTER)))
    load = f"import pickle; pickle.load(open({str(path)!r}, 'rb'), encoding='latin1')"
    careless = subprocess.run([sys.executable, "-c", load], capture_output=True, check=False)
    if careless.returncode != -signal.SIGSEGV:
        pytest.skip("this numpy looks at the types that a pickle claims")
    code = f"from hmrlab.unpickling import load_arrays; load_arrays({str(path)!r})"
    ours = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ours.returncode == 1
    assert "FileProblem" in ours.stderr


def test_programs_drawn_at_random_are_read_or_refused(tmp_path):
    """Two thousand of them; `make hostile` draws five times as many."""
    count = 2_000 * int(os.environ.get("HMRLAB_HOSTILE_SEEDS", "1"))
    outcomes = run("fuzz", tmp_path, count)
    assert sum(outcomes.values()) == 1.2 * count  # every tenth by all three readers
    assert outcomes["read"] > 0.02 * count
    assert outcomes["refused"] > 0.3 * count
