"""Bodies, priors and what goes with them, from files that are damaged or no files at all."""

import os
import zipfile

import numpy as np
import pytest
from mutations import HEADERS, npy, patched, with_header

from hmrlab.bodies import body_digest, body_path, format, load_body, read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.format import MAX_ROWS
from hmrlab.bodies.importing import import_files, run
from hmrlab.files import FileProblem
from hmrlab.models.mean_params import load_mean_parameters
from hmrlab.smplify import load_prior
from hmrlab.smplify.prior import ASSET as PRIOR

LIGHT = ASSETS / "free_body_light.npz"
MEANS = {"pose": np.zeros(144), "shape": np.zeros(10), "cam": np.zeros(3)}
READERS = {  # what writes a good one, what reads it, and an array of it
    "body": (lambda path: path.write_bytes(LIGHT.read_bytes()), read_body_file, "v_template"),
    "prior": (lambda path: path.write_bytes(PRIOR.read_bytes()), load_prior, "covars"),
    "means": (lambda path: np.savez(path, **MEANS), load_mean_parameters, "shape"),
}


ZIPS = {"method 99": patched(8, 10, 99), "encrypted": patched(6, 8, 1)}


@pytest.mark.parametrize("what", [*HEADERS, *ZIPS])
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_damaged_array_is_named(tmp_path, reader, what):
    write, read, key = reader
    path = tmp_path / "bad.npz"
    write(path)
    read(path)
    if what in ZIPS:  # of the first array
        key = zipfile.ZipFile(path).namelist()[0].removesuffix(".npy")
    damage = ZIPS.get(what) or with_header(key, what)
    path.write_bytes(damage(path.read_bytes(), None))
    with pytest.raises(FileProblem, match=rf"bad\.npz is not a readable .*'{key}'"):
        read(path)


def as_is(path):
    return import_files([path])


ODD = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "back to itself": lambda path: path.symlink_to(path),
    "no file at|no body file|no pose prior|no mean": lambda path: None,
}


@pytest.mark.parametrize("read", [read_body_file, load_prior, load_mean_parameters, as_is])
@pytest.mark.parametrize("says", ODD)
def test_what_is_no_file_is_a_message_and_no_wait(home, tmp_path, says, read):
    ODD[says](tmp_path / "odd.npz")
    with pytest.raises(FileProblem, match=f"({says}|nothing to import)") as told:
        read(tmp_path / "odd.npz")
    assert "odd.npz" in str(told.value)


def test_a_pipe_in_a_pickles_place_is_a_message_and_no_wait(home, tmp_path):
    os.mkfifo(tmp_path / "odd.pkl")
    for read in (load_prior, as_is):
        with pytest.raises(FileProblem, match=r"odd\.pkl is a pipe"):
            read(tmp_path / "odd.pkl")


def test_the_home_folder_of_nobody_is_a_message(home, monkeypatch):
    lost = "~nobody_of_this_name/x.npz"
    for call in (body_path, body_digest, load_body, load_prior, load_mean_parameters, as_is):
        with pytest.raises(FileProblem, match="there is no user ~nobody_of_this_name"):
            call(lost)
    monkeypatch.setenv("HMRLAB_BODY", lost)
    with pytest.raises(FileProblem, match="there is no user"):
        load_body()
    monkeypatch.setenv("HMRLAB_PRIOR", lost)
    with pytest.raises(FileProblem, match="there is no user"):
        load_prior()


def test_a_body_under_a_name_that_is_no_text_is_shown(home, hmrlab, tmp_path):
    path = tmp_path / os.fsdecode(b"body\xff.npz")
    path.write_bytes(LIGHT.read_bytes())
    done = hmrlab("body", "info", path)
    assert (done.code, done.err) == (0, "")
    assert r"body\udcff.npz: fit for hmrlab" in done.out


@pytest.fixture
def spoiled(tmp_path):
    """Writes the free body with one array changed."""

    def write(key, change):
        with np.load(LIGHT, allow_pickle=False) as arrays:
            content = dict(arrays)
        content[key] = change(content[key])
        np.savez(tmp_path / "body.npz", **content)
        return tmp_path / "body.npz"

    return write


def one(value):
    def change(array):
        array = array.astype(np.float64)
        array.flat[7] = value
        return array

    return change


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("key", "change", "says"),
    [
        ("v_template", one(1e30), r"numbers up to 100 \(lengths are in metres\), found 1e\+30"),
        ("v_template", lambda a: 1000 * a, "numbers up to 100"),  # millimetres
        ("shapedirs", one(-1e300), "numbers up to 100"),
        ("J_regressor", one(1e300), "numbers up to 100"),
        ("v_template", lambda a: a[:0], "1 to 60,000 rows, found 0"),
        ("v_template", lambda a: np.zeros((MAX_ROWS + 1, 3), np.int8), "rows, found 60,001"),
        ("f", lambda a: np.zeros((MAX_ROWS + 1, 3), np.uint8), "rows, found 60,001"),
        ("f", lambda a: np.full(a.shape, 2**64 - 1, np.uint64), "integers from 0 to"),
        ("kintree_table", lambda a: np.full(a.shape, np.iinfo(np.int64).max), "numbers up to 4"),
    ],
)
def test_numbers_that_are_no_bodys_are_refused_by_name(spoiled, key, change, says):
    with pytest.raises(FileProblem, match=rf"body\.npz: {key}: expected .*{says}"):
        read_body_file(spoiled(key, change))


def test_a_body_that_would_fill_the_memory_is_refused(spoiled, monkeypatch):
    path = spoiled("v_template", lambda a: a)
    size = sum(array.nbytes for array in format.read_raw_arrays(path).values())
    monkeypatch.setattr(format, "MAX_BYTES", size - 1)
    with pytest.raises(FileProblem, match=r"body\.npz is not .* takes .* bytes, more than the"):
        read_body_file(path)


def test_of_many_shapes_the_first_ten_are_read(spoiled):
    path = spoiled("shapedirs", lambda a: np.concatenate([a, np.full((*a.shape[:2], 290), 1e9)], 2))
    np.testing.assert_array_equal(read_body_file(path).shapedirs, read_body_file(LIGHT).shapedirs)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "arrays", "says"),
    [
        ("m.npz", MEANS | {"shape": np.full(10, 1e300)}, "shape: expected numbers up to 100"),
        ("h.npy", np.full((17, 6890), 1e308), "weights of vertices, each up to 100"),
        ("c.npy", np.zeros((400, 400, 400), np.uint8), r"\(400, 400, 400\).* at most 33,554,432"),
        ("p.npz", {"means": np.zeros((200, 69)), "covars": np.ones((200, 69, 69)),
                   "weights": np.ones(200)}, r"means: expected shape \(100, 69\)"),
        ("p.npz", {"means": np.zeros((1, 69)), "covars": np.full((1, 69, 69), 1e300),
                   "weights": np.ones(1)}, "covars: expected numbers up to 10000"),
    ],
)  # fmt: skip
def test_companions_with_absurd_numbers_are_refused(home, tmp_path, name, arrays, says):
    path = tmp_path / name
    np.savez(path, **arrays) if isinstance(arrays, dict) else np.save(path, arrays)
    with pytest.raises(FileProblem, match=says) as told:
        import_files([path])
    assert str(path) in str(told.value)
    assert not home.exists()


def test_a_file_too_large_to_be_ours_is_refused_unread(home, tmp_path):
    for name in ("body.pkl", "J_regressor_extra.npy"):
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(2**40)
        with pytest.raises(FileProblem, match=rf"{name} has 1,099,511,627,776 bytes; a file to"):
            import_files([path])


def test_files_that_would_fill_the_memory_together_are_refused(home, downloads, monkeypatch):
    monkeypatch.setattr(run, "MAX_BYTES", 2**20)
    with pytest.raises(FileProblem, match=r"more than the 1,048,576 bytes .* Name them one by one"):
        import_files([downloads])
    assert not home.exists()


def test_a_folder_is_searched_past_pipes_loops_and_giants(home, downloads):
    os.mkfifo(downloads / "waits.npy")
    os.mkfifo(downloads / "waits.pkl")
    (downloads / "round.npz").symlink_to(downloads / "round.npz")
    (downloads / "within").symlink_to(downloads)
    (downloads / "gone.pkl").symlink_to(downloads / "nowhere.pkl")
    with (downloads / "giant.pkl").open("wb") as file:
        file.truncate(2**40)
    (downloads / "says_much.npy").write_bytes(npy(shape=f"(9, {10**11})"))
    done = import_files([downloads])
    assert (done.ready, done.passed_over) == (("smpl_neutral",), ())


def test_a_prior_that_is_nearly_singular_is_refused(tmp_path):
    values = {"means": np.zeros((1, 69)), "covars": 1e-60 * np.eye(69)[None], "weights": np.ones(1)}
    np.savez(tmp_path / "prior.npz", **values)
    with pytest.raises(FileProblem, match=r"prior\.npz: covars: .*singular"):
        load_prior(tmp_path / "prior.npz")
    np.savez(tmp_path / "prior.npz", **values | {"means": np.full((1, 69), 1e300)})
    with pytest.raises(FileProblem, match=r"means: expected numbers up to 10000 .* got 1e\+300"):
        load_prior(tmp_path / "prior.npz")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pose": np.zeros(72)}, r"pose: expected 144 .* found float64 of shape \(72,\)"),
        ({"cam": np.array(["a", "b", "c"])}, "cam: expected 3 .* found <U1"),
        ({"shape": np.full(10, 1e300)}, "shape: expected 10 .* larger ones"),
        ({"shape": np.full(10, np.nan)}, "shape: expected 10 .* NaN"),
    ],
)
def test_mean_parameters_that_are_none_are_refused_by_name(tmp_path, change, says):
    np.savez(tmp_path / "means.npz", **MEANS | change)
    with pytest.raises(FileProblem, match=rf"means\.npz: {says}"):
        load_mean_parameters(tmp_path / "means.npz")
    np.savez(tmp_path / "means.npz", pose=MEANS["pose"])
    with pytest.raises(FileProblem, match=r"means\.npz: shape: .* it has no such array"):
        load_mean_parameters(tmp_path / "means.npz")


def test_an_imported_body_that_lost_an_array_is_named(home, downloads):
    import_files([downloads])
    path = body_path("smpl")
    path.write_bytes(with_header("v_template", "an empty member")(path.read_bytes(), None))
    with pytest.raises(FileProblem, match=r"smpl_neutral\.npz is not .*'v_template'"):
        import_files([downloads / "cube_parts.npy"])
    with np.load(LIGHT) as arrays:
        rest = {key: value for key, value in arrays.items() if key != "v_template"}
    words = dict.fromkeys(("source_name", "source_sha256", "gender", "release", "licence"), "x")
    np.savez(path, **rest, **words, parts="x")
    with pytest.raises(FileProblem, match=r"smpl_neutral\.npz: v_template: expected this array"):
        import_files([downloads / "cube_parts.npy"])
