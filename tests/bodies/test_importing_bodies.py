import os
import pickle

import numpy as np
import pytest
import scipy.sparse
import torch

from hmrlab.bodies import body_digest, body_path, load_body, load_gendered
from hmrlab.bodies.format import read_provenance
from hmrlab.bodies.importing import import_files, run
from hmrlab.bodies.importing.recognise import gender_of
from hmrlab.bodies.joints import KEYPOINT_ROWS
from hmrlab.bodies.smplx_adapter import smplx_landmarks
from hmrlab.files import FileProblem

BODY_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
REGRESSORS = ("J_regressor_extra", "J_regressor_h36m")


@pytest.fixture
def regressors(downloads):
    return [downloads / f"{key}.npy" for key in REGRESSORS]


@pytest.fixture
def write_body(tmp_path, pretend_smpl):
    """Writes an `.npz` of the body with some arrays changed."""

    def write(name="SMPL_NEUTRAL.npz", without=("posedirs",), **changed):
        arrays = {key: pretend_smpl[key] for key in BODY_KEYS} | changed
        path = tmp_path / name
        left_out = set(without) - changed.keys()
        np.savez(path, **{key: value for key, value in arrays.items() if key not in left_out})
        return path

    return write


def posed(seed=0):
    generator = torch.Generator().manual_seed(seed)
    pose = 0.4 * torch.randn(3, 72, generator=generator)
    return pose, torch.randn(3, 10, generator=generator)


def test_an_imported_body_is_what_smplx_makes_of_the_same_arrays(home, downloads, pretend_smpl):
    """The genuine class, with its own landmarks, on the arrays that the pickle was written of."""
    import smplx

    done = import_files([downloads])
    assert done.ready == ("smpl_neutral",)
    assert done.waiting == done.passed_over == ()
    struct = smplx.utils.Struct(**{key: pretend_smpl[key] for key in BODY_KEYS})
    struct.shapedirs = struct.shapedirs[..., :10]
    theirs = smplx.SMPL(model_path="", data_struct=struct)
    pose, betas = posed()
    body = load_body("smpl")
    ours = body(pose, betas)
    wanted = theirs(betas=betas, body_pose=pose[:, 3:], global_orient=pose[:, :3])
    torch.testing.assert_close(ours.vertices, wanted.vertices, atol=2e-6, rtol=0)
    all_54 = torch.cat(
        [wanted.joints, torch.tensor(pretend_smpl["J_regressor_extra"]).float() @ wanted.vertices],
        1,
    )
    torch.testing.assert_close(ours.keypoints, all_54[:, list(KEYPOINT_ROWS)], atol=1e-5, rtol=0)
    h36m = torch.tensor(pretend_smpl["J_regressor_h36m"]).float() @ wanted.vertices
    torch.testing.assert_close(ours.h36m, h36m, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(body.lsp_labels, pretend_smpl["lsp_labels"])
    np.testing.assert_array_equal(body.faces, pretend_smpl["f"])


def test_what_was_found_is_said_and_the_licence_named(home, downloads, official_pickle):
    import hashlib

    digest = hashlib.sha256(official_pickle).hexdigest()
    words = "\n".join(import_files([downloads]).lines)
    for said in (
        "SMPL_NEUTRAL.pkl: ", "neutral", "6,890 vertices", "10 of 16 shapes are kept",
        "J_regressor is sparse, chumpy's: shapedirs", digest, "https://smpl.is.tue.mpg.de",
        "J_regressor_extra", "9 rows", "17 rows", "gmm_08", "8 Gaussians", "smpl_mean_params",
    ):  # fmt: skip
        assert said in words, said
    origin = read_provenance(body_path("smpl"))
    assert (origin.source_name, origin.source_sha256) == ("SMPL_NEUTRAL.pkl", digest)
    assert origin.gender == "neutral"
    assert "not to be passed on" in origin.licence
    with np.load(body_path("smpl"), allow_pickle=False) as arrays:
        assert not [key for key in arrays.files if arrays[key].dtype.hasobject]
        assert str(downloads) not in "".join(str(arrays[k]) for k in arrays.files if k[0] == "s")


def test_releases_are_told_by_names_and_shapes(home, write_body, pretend_smpl, regressors):
    many = np.concatenate([pretend_smpl["shapedirs"], np.zeros((6890, 3, 284))], 2)
    path = write_body("SMPL_MALE.npz", shapedirs=many)
    words = import_files([path, *regressors]).lines
    assert words[0] == "SMPL_MALE.npz: SMPL 1.1, by its 300 shapes, male"
    assert any("10 of 300 shapes are kept; J_regressor is dense" in line for line in words)
    path = write_body("basicmodel_f_lbs_10_207_0_v1.1.0.npz", shapedirs=many[..., :10])
    assert import_files([path]).lines[0].endswith("SMPL 1.1, by its name, female")


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("basicmodel_m_lbs_10_207_0_v1.1.0.pkl", "male"),
        ("basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "neutral"),
        ("SMPL_MALE.pkl", "male"),
        ("SMPL_FEMALE.npz", "female"),
        ("female/model.npz", "female"),
        ("model.pkl", None),
        ("male_or_female.pkl", None),
    ],
)
def test_the_gender_is_told_by_the_name(tmp_path, name, gender):
    assert gender_of(tmp_path / name) == gender


def test_a_body_without_a_gender_asks_for_it(home, write_body, regressors):
    path = write_body("body.npz")
    with pytest.raises(FileProblem, match=r"male, female or neutral\?.*--gender"):
        import_files([path])
    assert import_files([path, *regressors], "male").ready == ("smpl_male",)
    with pytest.raises(ValueError, match="'m' is not one of"):
        import_files([path], "m")
    other = write_body("other.npz", weights=load_weights(path)[::-1])
    with pytest.raises(FileProblem, match="one body at a time"):
        import_files([path, other], "male")


def load_weights(path):
    with np.load(path) as arrays:
        return arrays["weights"]


@pytest.mark.parametrize("body_first", [True, False])
def test_a_body_and_its_regressors_come_in_any_order(home, downloads, regressors, body_first):
    body = downloads / "smpl" / "SMPL_NEUTRAL.pkl"
    if body_first:
        done = import_files([body])
        assert (done.ready, done.waiting) == ((), ("smpl_neutral",))
        with pytest.raises(FileProblem, match=r"not complete yet.*J_regressor_extra.npy.*fetch_da"):
            load_body("smpl")
        assert import_files(regressors[:1]).waiting == ("smpl_neutral",)
        assert import_files(regressors[1:]).ready == ("smpl_neutral",)
    else:
        assert import_files(regressors).ready == ()
        assert import_files([body]).ready == ("smpl_neutral",)
    assert load_body("smpl").n_vertices == 6890
    assert [path.name for path in (home / "data" / "bodies" / "waiting").glob("*")] == []


def test_importing_again_changes_nothing(home, downloads):
    import_files([downloads])
    before, digest = body_path("smpl").stat().st_mtime_ns, body_digest("smpl")
    import_files([downloads])
    assert (body_path("smpl").stat().st_mtime_ns, body_digest("smpl")) == (before, digest)


def test_another_release_takes_the_place_of_the_first(home, downloads, write_body, pretend_smpl):
    import_files([downloads])
    digest = body_digest("smpl")
    taller = pretend_smpl["v_template"] * 1.05
    assert import_files([write_body(v_template=taller)]).ready == ("smpl_neutral",)
    assert body_digest("smpl") != digest
    np.testing.assert_allclose(load_body("smpl").v_template, taller, atol=1e-6)


@pytest.mark.parametrize("layout", ["folded", "turned", "sparse", "faces"])
def test_other_layouts_of_the_same_arrays_are_understood(
    home, tmp_path, write_body, pretend_smpl, regressors, layout
):
    posedirs = pretend_smpl["posedirs"]
    path = {
        "folded": lambda: write_body(posedirs=posedirs.reshape(-1, 207).T),
        "turned": lambda: write_body(posedirs=posedirs.reshape(-1, 207)),
        "faces": lambda: write_body(without=["f"], faces=pretend_smpl["f"]),
        "sparse": lambda: write_body(
            without=(),
            J_regressor=np.array(scipy.sparse.csc_matrix(pretend_smpl["J_regressor"]), object),
        ),
    }[layout]()
    import_files([path, *regressors])
    body = load_body("smpl")
    np.testing.assert_allclose(body.posedirs.T.view(6890, 3, 207), posedirs, atol=1e-8)
    wanted = pretend_smpl["J_regressor"] @ pretend_smpl["v_template"]
    np.testing.assert_allclose(body.joint_template, wanted, atol=1e-6)


def test_a_pickle_of_todays_python_without_chumpy_is_read(home, tmp_path, pretend_smpl, regressors):
    """As smplx's script for cleaning chumpy away leaves it."""
    content = {key: pretend_smpl[key] for key in BODY_KEYS}
    content["J_regressor"] = scipy.sparse.csc_matrix(content["J_regressor"])
    path = tmp_path / "SMPL_FEMALE.pkl"
    path.write_bytes(pickle.dumps(content))
    assert import_files([path, *regressors]).ready == ("smpl_female",)
    np.testing.assert_allclose(
        load_body("smpl_female").v_template, pretend_smpl["v_template"], atol=1e-6
    )


def test_a_mesh_of_its_own_must_bring_its_landmarks_and_regressors(home, write_body, pretend_smpl):
    few = np.sort(np.random.default_rng(0).permutation(6890)[:6000])
    place = np.full(6890, -1)
    place[few] = np.arange(6000)
    faces = place[pretend_smpl["f"].astype(int)]
    smaller = {key: pretend_smpl[key][few] for key in ("v_template", "shapedirs", "weights")}
    smaller |= {"f": faces[(faces >= 0).all(1)], "posedirs": pretend_smpl["posedirs"][few]}
    for key in ("J_regressor", *REGRESSORS):
        rows = pretend_smpl[key][:, few]
        smaller[key] = rows / rows.sum(1, keepdims=True)
    with pytest.raises(FileProblem, match=r"6,000 vertices.*landmarks"):
        import_files([write_body(**smaller)])
    done = import_files([write_body(**smaller, landmarks=np.arange(21))])
    assert done.ready == ("smpl_neutral",)
    assert load_body("smpl").n_vertices == 6000


def test_smpls_landmarks_are_where_smplx_says():
    landmarks = smplx_landmarks()
    assert landmarks[:5] == (332, 6260, 2800, 4071, 583)  # nose, eyes, ears
    assert landmarks[5:11] == (3216, 3226, 3387, 6617, 6624, 6787)  # toes and heels


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kintree_table": np.zeros((2, 52), int)}, r"52 joints: it is SMPL\+H"),
        ({"kintree_table": np.zeros((2, 55), int)}, "SMPL-X"),
        ({"kintree_table": np.zeros((2, 16), int)}, "MANO"),
        ({"kintree_table": np.zeros((2, 24), int)}, "SMPL's 24-joint tree"),
        ({"v_template": lambda a: 100 * a}, "units"),
        ({"v_template": lambda a: a[:, [1, 0, 2]] * (1, 0.3, 1)}, "turned"),
        ({"v_template": lambda a: np.where(a > 0.7, np.nan, a)}, "v_template: expected finite"),
        ({"shapedirs": lambda a: a[..., :9]}, "at least 10 shape directions"),
        ({"shapedirs": lambda a: a.reshape(-1, 16)}, r"shapedirs \(V, 3, S\)"),
        ({"weights": lambda a: 1.1 * a}, "weights: expected rows that sum to 1"),
        ({"J_regressor": lambda a: a + 1e-4}, "J_regressor: expected rows that sum to 1"),
        ({"posedirs": lambda a: a[..., :100]}, "posedirs: expected shape"),
        ({"f": lambda a: a + 5}, "f: expected integers"),
    ],
)
def test_what_cannot_be_smpl_is_refused_by_name(home, write_body, pretend_smpl, changed, says):
    ((key, change),) = changed.items()
    path = write_body(**{key: change(pretend_smpl[key]) if callable(change) else change})
    with pytest.raises(FileProblem, match=says) as refused:
        import_files([path])
    assert str(path) in str(refused.value)
    assert not home.exists()


def test_a_file_that_lacks_an_array_is_named(home, write_body):
    with pytest.raises(FileProblem, match="has kintree_table; it has only"):
        import_files([write_body(without=["kintree_table"])])


def test_two_bodies_of_a_gender_must_be_told_apart(home, downloads, write_body, pretend_smpl):
    other = write_body("basicmodel_neutral.npz", v_template=1.01 * pretend_smpl["v_template"])
    with pytest.raises(FileProblem, match=r"SMPL_NEUTRAL.pkl are both neutral, and different"):
        import_files([downloads, other])
    assert not home.exists()
    copy = downloads / "smpl" / "copy_neutral.pkl"
    copy.write_bytes((downloads / "smpl" / "SMPL_NEUTRAL.pkl").read_bytes())
    assert import_files([downloads]).ready == ("smpl_neutral",)


def test_one_bad_file_among_several_and_nothing_is_written(home, downloads, tmp_path):
    for bad, says in (
        ("cut.pkl", "cut.pkl"),
        ("bomb.pkl", r"asks for posix.mkdir"),
        ("gone.pkl", "no file at"),
        ("text.npy", "text.npy"),
    ):
        path = tmp_path / bad
        if bad == "cut.pkl":
            path.write_bytes((downloads / "smpl" / "SMPL_NEUTRAL.pkl").read_bytes()[:100_000])
        elif bad == "bomb.pkl":
            path.write_bytes(pickle.dumps({"v_template": Bomb(str(tmp_path / "it_ran"))}))
        elif bad == "text.npy":
            path.write_text("not an array")
        with pytest.raises(FileProblem, match=says):
            import_files([downloads, path])
    assert not home.exists()
    assert not (tmp_path / "it_ran").exists()


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_a_folder_is_searched_and_what_is_none_of_ours_passed_over(home, downloads, tmp_path):
    (downloads / "other.pkl").write_bytes(pickle.dumps({"v": Bomb(str(tmp_path / "it_ran"))}))
    np.savez(downloads / "3dpw_test.npz", imgname=np.array(["a"]), pose=np.zeros((1, 72)))
    np.save(downloads / "numbers.npy", np.zeros(7))
    (downloads / "readme.txt").write_text("text")
    done = import_files([downloads])
    assert done.ready == ("smpl_neutral",)
    (reason,) = done.passed_over
    assert "other.pkl" in reason
    assert not (tmp_path / "it_ran").exists()


def test_an_archive_is_to_be_unpacked_first(home, tmp_path):
    path = tmp_path / "SMPL_python_v.1.1.0.zip"
    path.write_bytes(b"PK")
    with pytest.raises(FileProblem, match="is an archive: unpack it"):
        import_files([path])


def test_an_empty_folder_says_what_was_looked_for(home, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileProblem, match=r"nothing to import in .*empty.*basicmodel_.*one folder"):
        import_files([tmp_path / "empty"])


def test_a_regressor_of_another_mesh_is_refused(home, downloads, tmp_path):
    np.save(tmp_path / "J_regressor_h36m.npy", np.full((17, 5000), 1 / 5000))
    with pytest.raises(FileProblem, match=r"is for 5,000 vertices, and SMPL_NEUTRAL.pkl has 6,890"):
        import_files([downloads / "smpl", tmp_path / "J_regressor_h36m.npy"])


def test_a_home_that_cannot_be_written_to_is_named(home, downloads):
    home.write_text("a file where a folder should be")
    with pytest.raises(FileProblem, match="could not write"):
        import_files([downloads])


def test_an_import_that_was_killed_is_completed_by_the_next(home, downloads, monkeypatch):
    def killed(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "_store", killed)
        with pytest.raises(KeyboardInterrupt):
            import_files([downloads])
    with pytest.raises(FileProblem, match="was not imported"):
        load_body("smpl")
    assert not list(home.rglob("*.part"))
    assert import_files([downloads / "smpl"]).ready == ("smpl_neutral",)
    assert load_body("smpl").n_vertices == 6890


def test_names_lead_to_imported_bodies(home, downloads, monkeypatch):
    with pytest.raises(FileProblem, match=r"smpl_neutral was not imported.*body import FILE"):
        body_path("smpl")
    import_files([downloads])
    assert body_path("smpl") == body_path("smpl_neutral") == home / "data/bodies/smpl_neutral.npz"
    monkeypatch.setenv("HMRLAB_BODY", "smpl")
    assert load_body(detail="light").n_vertices == 6890
    assert load_body("free", "light").n_vertices < 6000


def test_gendered_bodies_are_three_of_smpl_and_one_of_every_other(
    home, write_body, pretend_smpl, regressors
):
    free = load_gendered("free", "light")
    assert free["m"] is free["f"] is free["n"]
    import_files([write_body(), *regressors])
    with pytest.raises(FileProblem, match=r"smpl_male, smpl_female are not imported.*basicmodel_m"):
        load_gendered("smpl")
    for size, name in ((1.05, "male"), (0.95, "female")):
        template = size * pretend_smpl["v_template"]
        import_files([write_body(f"SMPL_{name.upper()}.npz", v_template=template)])
    heights = {k: float(b.v_template[:, 1].max()) for k, b in load_gendered("smpl").items()}
    assert heights["f"] < heights["n"] < heights["m"]
    one = load_gendered("smpl_male")
    assert one["f"] is one["n"]
