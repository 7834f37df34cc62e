"""Body files, what goes with them, and what is shown: damaged in every way that came to mind."""

import numpy as np
import python_2
from attacks import ATTACKS
from cases import (  # noqa: F401
    Target,
    test_a_damaged_file_ends_in_a_message_or_does_no_harm,
    test_the_whole_files_are_taken,
)
from mutations import HEADERS, NPY_CHANGES, instead, npy_of, npz_attacks, npz_changes
from worlds import as_npz, light_body, mesh, person_arrays, prior_arrays, replace

BODY_KEYS = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f", "landmarks",
             "J_regressor_extra", "lsp_labels")  # fmt: skip
PAGE = ("--out", "{out}/page.html")


def writes(name, make):
    return lambda folder: replace(folder / name, make())


def prior_pickle() -> bytes:
    return python_2.dumps(prior_arrays())


def means() -> bytes:
    rng = np.random.default_rng(0)
    return as_npz({"pose": rng.normal(size=144), "shape": rng.normal(size=10), "cam": np.ones(3)})


def regressor() -> bytes:
    return npy_of(np.full((9, 6890), 1 / 6890))


def huge_obj(line: bytes, count: int):
    return lambda good, rng: good + line * count


MESHES = {
    "obj": {
        "a million groups": huge_obj(b"g a\nf 1 2 3\n", 10**6),
        "an index far out": huge_obj(b"f 1 2 999999999\n", 1),
        "an index below nothing": huge_obj(b"f -1 -2 -99999\n", 1),
        "no number": huge_obj(b"v nan inf x\n", 1),
        "a material outside": huge_obj(b"mtllib /etc/passwd\nusemtl x\n", 1),
        "huge numbers": huge_obj(b"v 1e300 1e300 1e300\nf 1 2 13\n", 1),
    },
    "ply": {
        "a count of 10^12": lambda good, rng: good.replace(b"vertex 12", b"vertex 999999999999"),
        "a count below nothing": lambda good, rng: good.replace(b"vertex 12", b"vertex -12"),
        "an endless header": lambda good, rng: b"ply\n" + b"comment x\n" * 200_000,
    },
    "stl": {"a count of 2^32": lambda good, rng: good[:80] + b"\xff" * 4 + good[84:]},
    "glb": {
        "a length of 2^32": lambda good, rng: good[:8] + b"\xff" * 4 + good[12:],
        "a chunk of 2^32": lambda good, rng: good[:12] + b"\xff" * 4 + good[16:],
        "a count of 10^9": lambda good, rng: good.replace(b'"count":60', b'"count":999999999'),
        "another buffer": lambda good, rng: good.replace(b'"byteLength"', b'"uri":"/etc/x"'),
    },
}
TARGETS = [
    Target("body info", "body.npz", ("body", "info", "{file}"), writes("body.npz", light_body),
           npz_changes(BODY_KEYS) | npz_attacks("v_template") | npz_attacks("f")),
    Target("view person", "person.npz", ("view", "{file}", *PAGE),
           writes("person.npz", lambda: as_npz(person_arrays())),
           npz_changes(("pose", "betas")) | npz_attacks("pose")),
    Target("import a prior", "gmm_08.pkl", ("body", "import", "{file}"),
           writes("gmm_08.pkl", prior_pickle),
           instead(ATTACKS)),
    Target("import means", "smpl_mean_params.npz", ("body", "import", "{file}"),
           writes("smpl_mean_params.npz", means),
           npz_changes(("pose", "shape", "cam")) | npz_attacks("pose")),
    Target("import a regressor", "J_regressor_extra.npy", ("body", "import", "{file}"),
           writes("J_regressor_extra.npy", regressor),
           NPY_CHANGES | instead(HEADERS)),
    *(
        Target(f"view {kind}", f"thing.{kind}", ("view", "{file}", *PAGE),
               writes(f"thing.{kind}", lambda kind=kind: mesh(kind)), damages)
        for kind, damages in MESHES.items()
    ),
]  # fmt: skip
