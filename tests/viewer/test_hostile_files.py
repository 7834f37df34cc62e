"""Files for the viewer that are damaged, absurd or made to do harm: a message, soon."""

import io
import json
import os
import struct
import zipfile

import numpy as np
import pytest
import trimesh
from PIL import Image

from hmrlab.bodies.body import ASSETS
from hmrlab.files import FileProblem
from hmrlab.viewer import files, meshes
from hmrlab.viewer.files import read_parameters, view_files
from hmrlab.viewer.mesh_limits import MAX_BYTES, MAX_FACES, MAX_VERTICES
from hmrlab.viewer.meshes import read_mesh
from hmrlab.viewer.pages import PageServer, page_text

POSE = np.random.default_rng(4).normal(0, 0.5, (24, 3))
BOX = trimesh.creation.box((0.4, 1.8, 0.3))
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


def member(shape="(4,)", descr="'<f8'", magic=b"\x93NUMPY\x01\x00"):
    """An array of an `.npz` that says anything of itself."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return magic + struct.pack("<H", len(header)) + header + bytes(64)


MEMBERS = {
    "nested dictionaries": member(descr="{'a': " * 50 + "1" + "}" * 50),
    "an unterminated bracket": member("(4,"),
    "10^12 elements": member(f"({10**12},)"),
    "10^30 elements": member(f"({10**30},)"),
    "a shape of truths": member("(True,)"),
    "no magic": member(magic=b"no magic"),
    "nothing": b"",
}


@pytest.mark.parametrize("content", MEMBERS.values(), ids=MEMBERS)
@pytest.mark.parametrize("key", ["pose", "betas"])
def test_a_damaged_array_of_parameters_is_named(tmp_path, key, content):
    path = tmp_path / "bad.npz"
    np.savez(path, **{"pose": POSE, "betas": np.zeros(10)} | {key: np.zeros(3)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (members | {f"{key}.npy": content}).items():
            archive.writestr(name, data)
    with pytest.raises(FileProblem, match=rf"bad\.npz is not a readable \.npz \('{key}'"):
        view_files([path])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"pose": np.full(72, 2**64 - 1, np.uint64)}, r"pose: .* up to 1000, found 1\.84e\+19"),
        ({"pose": np.full(72, 1e30)}, r"pose: expected numbers up to 1000, found 1e\+30"),
        ({"pose": POSE, "betas": np.full(10, -1e9)}, r"betas: .* up to 100, found 1e\+09"),
        ({"global_orient": np.full(3, 1e20), "body_pose": np.zeros(69)}, "global_orient: .*1000"),
        ({"pose": np.zeros((100_001, 72), np.int8)}, "pose: expected 100,000 bodies at most"),
        ({f"k{i}": np.zeros(1) for i in range(50)}, "k0, .* and 38 more"),
    ],
)
def test_parameters_that_nobody_could_draw_are_named(tmp_path, arrays, says):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(FileProblem, match=rf"p\.npz: {says}|p\.npz: expected a pose .*{says}"):
        view_files([tmp_path / "p.npz"])


def test_parameters_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "p.npz", pose=np.zeros((1000, 72)), other=np.zeros(10**7))
    assert len(read_parameters(tmp_path / "p.npz").pose) == 1000  # the other is not unpacked
    monkeypatch.setattr(files, "MAX_BYTES", 2**19)
    with pytest.raises(FileProblem, match=r"p\.npz is not .*'pose'.* takes 576,000 bytes"):
        read_parameters(tmp_path / "p.npz")


def test_files_that_are_too_much_together_are_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "p.npz", pose=np.zeros((60, 72)))
    BOX.export(tmp_path / "b.ply")
    for name, most in (("MAX_BODIES", 100), ("MAX_VERTICES", 15), ("MAX_FACES", 23)):
        monkeypatch.setattr(files, name, most)
        path = tmp_path / ("p.npz" if name == "MAX_BODIES" else "b.ply")
        view_files([path])
        with pytest.raises(FileProblem, match=r"too many .* to be shown together"):
            view_files([path, path])
        monkeypatch.undo()
    monkeypatch.setattr(files, "MAX_BODY_VERTICES", 6000)
    with pytest.raises(FileProblem, match="too many vertices"):
        view_files(["free", "free"])


@pytest.mark.parametrize("ending", [".npz", *MAX_BYTES])
def test_what_is_no_file_is_a_message_and_no_wait(tmp_path, ending):
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"folder{ending}").mkdir()
    (tmp_path / f"loop{ending}").symlink_to(tmp_path / f"loop{ending}")
    for name, says in (
        ("pipe", "is a pipe"),
        ("folder", "is a folder"),
        ("loop", "leads back to itself"),
        ("lost", "no file at"),
    ):
        with pytest.raises(FileProblem, match=says) as told:
            view_files([tmp_path / f"{name}{ending}"])
        assert f"{name}{ending}" in str(told.value)


def test_a_mesh_of_another_ending_is_a_message(tmp_path):
    BOX.export(tmp_path / "box.off")
    with pytest.raises(FileProblem, match=r"box\.off: expected a mesh \(\.obj, "):
        read_mesh(tmp_path / "box.off")


def test_a_giant_is_refused_unread(tmp_path):
    for ending in MAX_BYTES:
        path = tmp_path / f"giant{ending}"
        with path.open("wb") as file:
            file.truncate(2**40)
        with pytest.raises(FileProblem, match=rf"giant\{ending} has 1,099,511,627,776 bytes"):
            view_files([path])


def test_a_name_that_is_no_text_is_shown(tmp_path):
    path = tmp_path / os.fsdecode(b"p\xff.npz")
    np.savez(path, pose=POSE)
    viewer = view_files([path, path])
    assert viewer._scene["figures"][0]["name"].endswith(r"/p\udcff.npz")
    with PageServer(page_text([viewer], stills=False)) as server:
        assert rb"p\\udcff.npz" in server.page


def gltf(**changed):
    """A triangle's JSON, with other entries in place of its own."""
    return {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 12},
        ],
        "buffers": [{"byteLength": 48}],
    } | changed  # fmt: skip


NUMBERS = np.eye(3, dtype="<f4").tobytes() + np.arange(3, dtype="<u4").tobytes()


def glb(header, numbers=NUMBERS):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    whole = struct.pack("<I4s", len(text), b"JSON") + text
    whole += struct.pack("<I4s", len(numbers), b"BIN\0") + numbers
    return b"glTF" + struct.pack("<II", 2, 12 + len(whole)) + whole


def lots(count):
    """Accessors of which the first is so long, and has no bytes."""
    return [{"componentType": 5126, "count": count, "type": "VEC3"}, *gltf()["accessors"][1:]]


def ply(form=b"binary_little_endian", vertices=3, faces=1, more=b"", body=b""):
    return (
        b"ply\nformat %s 1.0\nelement vertex %d\nproperty float x\nproperty float y\n"
        b"property float z\nelement face %d\nproperty list uchar int vertex_indices\n%send_header\n"
        b"%s" % (form, vertices, faces, more, body)
    )


ASCII = b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
ABSURD = {  # names, contents and what is said of them
    "groups.obj": (TRIANGLE + "g a\nf 1 2 3\n" * 200_000, "200,000 groups"),
    "objects.obj": (TRIANGLE + "o a\nf 1 2 3\n" * 200_000, "200,000 groups"),
    "materials.obj": (TRIANGLE + "usemtl a\nf 1 2 3\n" * 2000, "2,000 changes of material"),
    "vertices.obj": ("v 0 0 0\n" * (MAX_VERTICES + 1), "500,001 vertices"),
    "faces.obj": (TRIANGLE + "f 1 2 3\n" * (MAX_FACES + 1), "1,000,001 faces"),
    "corners.obj": (TRIANGLE + "f" + " 1 2 3" * 1_500_000, "4,500,000 corners of faces"),
    "polygon.obj": (TRIANGLE + "f" + " 1 2 3" * 400_000, r"1,199,998 triangles"),
    "words.obj": (TRIANGLE + "\n" * 13_000_000, "words"),
    "counts.ply": (ply(vertices=10**12), "1,000,000,000,000 vertices"),
    "faces.ply": (ply(faces=10**9), "1,000,000,000 faces"),
    "others.ply": (ply(more=b"element x 9999999\nproperty int y\n"), "9,999,999 faces, or other"),
    "edges.ply": (ply(more=b"element edge 20000\nproperty int vertex1\n"), "20,000 edges"),
    "polygon.ply": (ply(faces=300_000, body=bytes(36) + b"\x0e"), "4,200,000 corners of faces"),
    "big.ply": (
        ply(b"binary_big_endian", faces=300_000, body=bytes(36) + b"\x0e"),
        "4,200,000 corners of faces",
    ),
    "kinds.ply": (ply(more=b"property list O int y\n"), "no kind of number"),
    "minus.ply": (ply(vertices=-3), "how much it has of everything"),
    "endless.ply": (b"ply\n" + b"comment\n" * 20_000, "its header does not end"),
    "lines.ply": (ply(b"ascii", body=ASCII + b"\v" * 9_000_000), "9,000,004 lines"),
    "bytes.ply": (ply(b"ascii", body=ASCII + b"\xff"), "says that it is text, and is not"),
    "count.stl": (bytes(80) + struct.pack("<I", 10**9) + bytes(50), "none"),
    "many.stl": (
        bytes(80) + struct.pack("<I", MAX_FACES + 1) + bytes(50 * (MAX_FACES + 1)),
        "1,000,001 triangles",
    ),
    "corners.stl": ("solid a\n" + "vertex 1 2 3\n" * 3_000_001, "3,000,001 corners"),
    "solids.stl": ("solid\nendsolid\n" * 2000, "2,000 solids"),
    "zeros.glb": (glb(gltf(accessors=lots(10**12))), "1,000,000,000,000 corners"),
    "arrays.glb": (glb(gltf(accessors=lots(3_000_000) * 9)), "numbers"),
    "minus.glb": (glb(gltf(accessors=lots(-1))), "an array of no known kind"),
    "true.glb": (glb(gltf(accessors=lots(True))), r"accessors\[0\]\.count: .*integer"),
    "views.glb": (
        glb(gltf(bufferViews=[{"buffer": 0, "byteLength": 10**8}] * 2)),
        "200,000,000 bytes",
    ),
    "nodes.glb": (glb(gltf(nodes=[{"mesh": 0}] * 2000)), "2,000 nodes"),
    "parts.glb": (glb(gltf(meshes=gltf()["meshes"] * 2000)), "2,000 meshes"),
    "deep.glb": (glb(b"[" * 100_000), "recursion limit"),
    "deep.gltf": (b'{"a":' * 100_000, "recursion limit"),
    "wide.gltf": (b'{"a":[' + b"{}," * 1_000_000 + b"{}]}", "brackets and commas"),
    "list.gltf": ("[]", "its content"),
    "draco.glb": (
        glb(gltf(extensionsUsed=["KHR_draco_mesh_compression"])),
        "compressed by Draco, which is not read",
    ),
    "cut.glb": (glb(gltf())[:60], "cut short"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_a_mesh_of_absurd_size_is_a_message(tmp_path, name):
    content, says = ABSURD[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileProblem, match=rf"{name} cannot be read as a mesh \(.*{says}"):
        read_mesh(tmp_path / name)


def test_a_mesh_that_is_used_often_counts_as_often(tmp_path, monkeypatch):
    nodes = {"nodes": [{"mesh": 0}] * 900, "scenes": [{"nodes": list(range(900))}]}
    (tmp_path / "often.glb").write_bytes(glb(gltf(**nodes)))
    assert read_mesh(tmp_path / "often.glb").faces.shape == (900, 3)
    monkeypatch.setattr(meshes, "MAX_VERTICES", 300)
    with pytest.raises(FileProblem, match="it has 303 vertices, and at most 300 are read"):
        read_mesh(tmp_path / "often.glb")


def test_nodes_that_go_round_are_read_once(tmp_path):
    nodes = [{"mesh": 0, "children": [1]}, {"children": [0]}]
    (tmp_path / "round.glb").write_bytes(glb(gltf(nodes=nodes)))
    assert len(read_mesh(tmp_path / "round.glb").faces) <= 2


@pytest.mark.parametrize("gloss", [False, True])
def test_the_pictures_of_a_mesh_are_decoded_up_to_a_limit(tmp_path, monkeypatch, gloss):
    buffer = io.BytesIO()
    Image.new("L", (1200, 1000), 200).save(buffer, "png")
    picture = buffer.getvalue() + bytes(-len(buffer.getvalue()) % 4)
    header = gltf(
        images=[{"bufferView": 3}], textures=[{"source": 0}],
        materials=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
    )  # fmt: skip
    if gloss:
        old = {"diffuseTexture": {"index": 0}, "specularGlossinessTexture": {"index": 0}}
        header["materials"] = [{"extensions": {meshes.GLOSS.decode(): old}}]
    header["accessors"].append({"bufferView": 2, "componentType": 5126, "count": 3, "type": "VEC2"})
    header["bufferViews"] += [
        {"buffer": 0, "byteOffset": 48, "byteLength": 24},
        {"buffer": 0, "byteOffset": 72, "byteLength": len(picture)},
    ]
    attributes = {"POSITION": 0, "TEXCOORD_0": 2}
    header["meshes"] = [{"primitives": [{"attributes": attributes, "indices": 1, "material": 0}]}]
    (tmp_path / "p.glb").write_bytes(glb(header, NUMBERS + bytes(24) + picture))
    mesh = read_mesh(tmp_path / "p.glb")
    if gloss:  # whose conversion would take many times the pictures' memory
        assert mesh.colours is None
        return
    np.testing.assert_allclose(mesh.colours, 200 / 255, atol=1e-6)
    monkeypatch.setattr(meshes, "MAX_PIXELS", 1_199_999)
    with pytest.raises(FileProblem, match="1,200,000 pixels in its pictures"):
        read_mesh(tmp_path / "p.glb")


ELSEWHERE = ("/etc/hostname", "../out.bin", "a/../../out.bin", "file:///etc/hostname", "~/x",
             "https://a.b/c.bin", "..\\out.bin", "%2e%2e/out.bin", "link.bin")  # fmt: skip


@pytest.mark.parametrize("uri", ELSEWHERE)
@pytest.mark.parametrize("ending", ["gltf", "glb"])
def test_a_mesh_reads_no_file_outside_its_folder(tmp_path, uri, ending):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "out.bin").write_bytes(NUMBERS)
    (folder / "link.bin").symlink_to(tmp_path / "out.bin")
    header = gltf(buffers=[{"byteLength": 48, "uri": uri}])
    content = json.dumps(header).encode() if ending == "gltf" else glb(header)
    (folder / f"m.{ending}").write_bytes(content)
    with pytest.raises(FileProblem, match=rf"m\.{ending} cannot be read .*it names .*(out|beside)"):
        read_mesh(folder / f"m.{ending}")


def test_a_gltf_without_its_buffer_says_which_is_missing(tmp_path):
    header = gltf(buffers=[{"byteLength": 48, "uri": "numbers.bin"}])
    (tmp_path / "m.gltf").write_text(json.dumps(header))
    with pytest.raises(FileProblem, match=r"m\.gltf cannot be read .*no file at .*numbers\.bin"):
        read_mesh(tmp_path / "m.gltf")
    (tmp_path / "numbers.bin").write_bytes(NUMBERS)
    assert read_mesh(tmp_path / "m.gltf").faces.shape == (1, 3)
    (tmp_path / "numbers.bin").unlink()
    os.mkfifo(tmp_path / "numbers.bin")
    with pytest.raises(FileProblem, match=r"numbers\.bin is a pipe"):
        read_mesh(tmp_path / "m.gltf")


@pytest.mark.parametrize("name", ["pipe.mtl", "/dev/zero", "../out.mtl", "lost.mtl"])
def test_materials_that_are_elsewhere_or_none_leave_a_mesh_plain(tmp_path, capfd, name):
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.mtl")
    (tmp_path / "out.mtl").write_text("newmtl red\nKd 1 0 0\n")
    (folder / "m.obj").write_text(f"mtllib {name}\n{TRIANGLE}usemtl red\nf 1 2 3\n")
    assert read_mesh(folder / "m.obj").colours is None
    header = ply(b"ascii", body=ASCII).replace(b"end_header", b"comment TextureFile %s\nend_header")
    (folder / "m.ply").write_bytes(header % name.encode())
    assert read_mesh(folder / "m.ply").faces.shape == (1, 3)
    assert capfd.readouterr() == ("", "")  # trimesh prints a traceback of its own


def test_a_damaged_body_file_is_a_message(tmp_path):
    whole, path = (ASSETS / "free_body_light.npz").read_bytes(), tmp_path / "bad.npz"
    at = len(whole) // 3
    for content in (whole[:at], whole[:at] + bytes(64) + whole[at + 64 :]):
        path.write_bytes(content)
        with pytest.raises(FileProblem, match=r"bad\.npz is not a readable \.npz"):
            view_files([path])
