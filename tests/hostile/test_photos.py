"""Photographs, what was seen in them, and networks: damaged in every way that came to mind."""

import io

from cases import (  # noqa: F401
    Target,
    test_a_damaged_file_ends_in_a_message_or_does_no_harm,
    test_the_whole_files_are_taken,
)
from mutations import PICTURES, json_changes
from worlds import as_json, network_file, openpose, picture

KEYPOINTS = ("photo", "{folder}/p.png", "--keypoints", "{folder}/p.json", "--out", "{out}")
FIT = ("fit", "--photo", "{folder}/p.png", "--keypoints", "{folder}/p.json", "--out", "{out}")
WHOLE = ("photo", "{folder}/p.png", "--whole", "--no-page", "--out", "{out}")


READ = {"people": [{"pose_keypoints_2d": openpose()["people"][0]["pose_keypoints_2d"]}]}
"""What is read of OpenPose's file; changes to the rest do nothing, and each such run takes long."""


def photograph(folder):
    picture(folder / "p.png")
    (folder / "p.json").write_bytes(as_json(openpose()))


def with_network(folder):
    photograph(folder)
    (folder / "net.pt").write_bytes(network_file())


def of_network(change):
    """The network's file after a change to what it holds."""

    def damage(good, rng):
        import torch

        content = torch.load(io.BytesIO(good), weights_only=True)
        made = change(content)
        content = content if made is None else made
        file = io.BytesIO()
        torch.save(content, file)
        return file.getvalue()

    return damage


def weight(make):
    """One of the network's tensors replaced."""

    def change(content):
        key = next(key for key in content["model"] if key.endswith("weight"))
        content["model"][key] = make(content["model"][key])

    return of_network(change)


def setting(key, value):
    def change(content):
        content[key] = value

    return of_network(change)


def _networks():
    import torch

    return {
        "a sparse tensor": weight(lambda w: w.to_sparse()),
        "a tensor without numbers": weight(lambda w: w.to("meta")),
        "a quantised tensor": weight(
            lambda w: torch.quantize_per_tensor(w.float(), 0.1, 0, torch.qint8)
        ),
        "a float8 tensor": weight(lambda w: w.to(torch.float8_e4m3fn)),
        "complex numbers": weight(lambda w: w.to(torch.complex64)),
        "integers": weight(lambda w: w.to(torch.int8)),
        "NaN": weight(lambda w: w * float("nan")),
        "another shape": weight(lambda w: w[:1]),
        "a broadcast tensor": weight(lambda w: w.flatten()[:1].expand(10**6)),
        "a list": weight(lambda w: w.flatten()[:3].tolist()),
        "a number": weight(lambda w: 3),
        "keys that are numbers": of_network(
            lambda content: content.update(model=dict(enumerate(content["model"].values())))
        ),
        "no network": of_network(lambda content: {"model": {}}),
        "a tensor alone": of_network(lambda content: torch.zeros(3)),
        "a list of all": of_network(lambda content: [content]),
        **{f"{key}: {value}": setting(key, value) for key in ("n_iter", "resolution")
           for value in (10**9, -1, 0, 2**70, 20_000, "x", None, 2.5, [3])},
        **{f"{key}: {value}": setting(key, value) for key in ("encoder", "format", "model")
           for value in (10**9, "x", None, [3], {"a": 1})},
    }  # fmt: skip


TARGETS = [
    Target("photo", "p.png", KEYPOINTS, photograph, PICTURES),
    Target("photo's keypoints", "p.json", KEYPOINTS, photograph, json_changes(READ)),
    Target("fit's photo", "p.png", FIT, photograph, PICTURES),
    Target("fit's keypoints", "p.json", FIT, photograph, json_changes(READ)),
    *(
        Target(name, "net.pt", words, with_network, _networks())
        for name, words in (
            ("photo's network", (*WHOLE, "--model", "{file}")),
            ("export", ("export", "{file}", "--out", "{out}/net.onnx", "--scale", "smoke")),
            ("evaluate", ("evaluate", "{file}", "--on", "studio-test", "--scale", "smoke",
                          "--limit", "4", "--out", "{out}")),
        )
    ),
]  # fmt: skip
