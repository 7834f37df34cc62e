"""Reads attacks, or programs drawn at random, where a crash or a forbidden act is seen.

python in_a_process.py attacks FOLDER      an outcome for each attack, as JSON
python in_a_process.py fuzz FOLDER COUNT   so many programs; counts outcomes, as JSON
"""

import json
import resource
import sys
from collections import Counter
from pathlib import Path

from attacks import ATTACKS, POINTER, TWO
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pickles import STOP, array, call, dictionary, dtype, group, name, number, scalar, text

from hmrlab.files import FileProblem
from hmrlab.unpickling import load_arrays, load_model_file, load_plain

READERS = (load_arrays, load_plain, load_model_file)
MEMORY = 4 * 2**30  # of addresses
FORBIDDEN = ("import", "exec", "compile", "os.", "subprocess.", "socket.", "ctypes.", "pickle.",
             "shutil.", "builtins.input", "marshal.", "object.__")  # fmt: skip
watching = False


def watch(event: str, arguments: tuple) -> None:
    """End at once where reading does what only running a file's words could make it do."""
    if watching and event.startswith(FORBIDDEN):
        print(f"forbidden: {event} {arguments!r:.200}", flush=True)
        sys.exit(3)


def outcome_of(load, path: Path) -> str:
    """What a reader says of a file; any error but one is a traceback of the user's."""
    global watching
    watching = True
    try:
        load(path)
    except FileProblem as problem:
        return str(problem)
    finally:
        watching = False
    return "read"


def attacks(folder: Path) -> dict[str, list[str]]:
    """What each reader says of each attack."""
    path, outcomes = folder / "attack.pkl", {}
    for words, content in ATTACKS.items():
        path.write_bytes(content)
        outcomes[words] = [outcome_of(load, path) for load in READERS]
    return outcomes


NAMES = [
    name(*pair.split(":"))
    for pair in (
        "numpy:ndarray", "numpy:dtype", "numpy.core.multiarray:_reconstruct",
        "numpy._core.multiarray:scalar", "numpy.core.numeric:_frombuffer", "chumpy.ch:Ch",
        "chumpy.reordering:Select", "scipy.sparse.csc:csc_matrix", "copy_reg:_reconstructor",
        "__builtin__:object", "builtins:set", "collections:OrderedDict", "_codecs:encode",
    )
]  # fmt: skip
FOREIGN = [name("os", "system"), name("builtins", "getattr"), name("numpy", "load")]
SIMPLE = [
    bytes([code]) for code in b"(012NR)}]abdelostu\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"
]
VALUES = [b"K\x00", b"K\x01", b"J\xff\xff\xff\xff", number(2**40), b"G" + POINTER, text("f8"),
          text("x"), text("a"), text("latin1"), text(TWO), b"C\x10" + TWO, dtype(),
          dtype("S8", "|", flags=61, size=8), dtype("O8", "|", flags=63), scalar(dtype(), POINTER),
          array(dtype(), (2,), text(TWO)), group(b"K\x02"), call("chumpy.ch", "Ch")]  # fmt: skip
MEMO = [code + bytes([at]) for code in (b"q", b"h") for at in range(4)]
STEPS = st.sampled_from([*NAMES * 2, *SIMPLE * 2, *VALUES * 2, *MEMO, *FOREIGN])
PROGRAMS = st.one_of(
    st.lists(STEPS, max_size=30).map(lambda steps: b"\x80\x02" + b"".join(steps) + STOP),
    st.lists(STEPS, max_size=12).map(lambda steps: dictionary(x=b"".join(steps))),
    st.tuples(st.sampled_from(list(ATTACKS.values())), st.integers(0, 300), st.binary(max_size=3))
    .map(lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + len(drawn[2]) :]),
)  # fmt: skip


def fuzz(folder: Path, count: int) -> Counter[str]:
    """How many random programs were read, and how many refused.

    Each by the reader that allows most, every tenth by the two others, too.
    """
    path, outcomes = folder / "drawn.pkl", Counter()

    @settings(max_examples=count // 10, derandomize=True, deadline=None, database=None,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.lists(PROGRAMS, min_size=10, max_size=10))
    def ten(programs: list[bytes]) -> None:
        for program, readers in zip(programs, (READERS, *[READERS[-1:]] * 9), strict=True):
            path.write_bytes(program)
            for load in readers:
                outcomes["read" if outcome_of(load, path) == "read" else "refused"] += 1

    ten()
    return outcomes


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    task, folder = sys.argv[1], Path(sys.argv[2])
    good = folder / "good.pkl"
    good.write_bytes(dictionary(a=array(dtype(), (2,), text(TWO))))
    assert [outcome_of(load, good) for load in READERS] == ["read"] * 3  # imports what they need
    sys.addaudithook(watch)
    print(json.dumps(attacks(folder) if task == "attacks" else fuzz(folder, int(sys.argv[3]))))
