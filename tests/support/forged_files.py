"""Files in torch's formats written step by step, as torch would not, and a process to read them.

python forged_files.py FOLDER      what `read_torch` says of each, as JSON
"""

import json
import resource
import struct
import sys
import zipfile
from pathlib import Path

from pickles import STOP, array, call, dtype, group, name, number, scalar

from hmrlab.files import FileProblem
from hmrlab.models.safe_load import read_torch

MEMORY = 2**30  # that reading may take beside what the process has when it starts
THREE = struct.pack("<3f", 1, 2, 3)
POINTER = struct.pack("<Q", 0x4141414141)
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
NO_HOOKS = call("collections", "OrderedDict")


def text(value):
    """Text as torch reads it, bytes as Python 2 wrote them."""
    data = value.encode() if isinstance(value, str) else value
    return (b"X" if isinstance(value, str) else b"T") + struct.pack("<I", len(data)) + data


def dictionary(**entries):
    """The whole pickle."""
    return b"\x80\x02}" + b"".join(text(k) + v + b"s" for k, v in entries.items()) + STOP


def storage(kind="FloatStorage", key="0", count=3, module="torch", what="storage", view=b"N"):
    """A persistent id, and what it stands for."""
    place = text("cuda:0")  # read onto the CPU all the same
    return group(text(what), name(module, kind), text(key), place, number(count), view) + b"Q"


def tensor(size=(3,), stride=(1,), offset=0, hooks=NO_HOOKS, of=None, more=()):
    """A tensor of a storage."""
    size, stride = (group(*map(number, counts)) for counts in (size, stride))
    rest = (number(offset), size, stride, b"\x89", hooks, *more)
    return call("torch._utils", "_rebuild_tensor_v2", of or storage(), *rest)


def zipped(path, program, parts=None, pressed=zipfile.ZIP_STORED):
    """Today's format."""
    parts = {"data/0": THREE, "version": b"3\n"} if parts is None else parts
    with zipfile.ZipFile(path, "w", pressed) as archive:
        for part, content in {"data.pkl": program, **parts}.items():
            archive.writestr(f"a/{part}", content)
    return path


def older(path, program, keys=("0",), count=3, data=THREE, endian=b"\x88"):
    """The format before the zip."""
    machine = b"\x80\x02}" + text("little_endian") + endian + b"s" + STOP
    listed = b"\x80\x02]" + b"".join(text(key) + b"a" for key in keys) + STOP
    path.write_bytes(MAGIC + machine + program + listed + struct.pack("<q", count) + data)
    return path


def torchs(function, *arguments):
    return call("torch._utils", function, *arguments)


FORGED_TYPES = {
    "objects under the kind of floats": dtype(flags=63),
    "objects under the kind of bytes": dtype("S8", "|", flags=61, size=8),
    "a pointer's flag": dtype(flags=4),
    "a size that is another": dtype(size=64),
    "a size below nothing": dtype("S8", "|", size=-8),
    "a sub-array": dtype(parts=(group(dtype(), group(b"K\x09")), b"N", b"N")),
    "fields": dtype("V8", "|", (b"N", group(text("x")), b"}" + text("x") + dtype() + b"s"), 8),
    "objects": dtype("O8", "|", flags=63),
}
FORGED = {
    **{f"number: {words}": (scalar(kind, POINTER), "its entry a is a")
       for words, kind in FORGED_TYPES.items()},
    **{f"array: {words}": (array(kind, (2,), text(POINTER * 2)), "its entry a is a")
       for words, kind in FORGED_TYPES.items()},
    "array: a list of objects":
        (array(FORGED_TYPES["objects"], (2,), b"](K\x01Ne"), "an array of Python objects"),
    "array: numbers too long for any type": (
        array(FORGED_TYPES["objects"], (2,), b"](K\x01\x8a\x09" + b"\x7f" * 9 + b"e"),
        "an array of Python objects"),
    "the state of numpy's array": (name("numpy", "ndarray") + b"}b", "the state of numpy.ndarray"),
    "the state of torch's tensor": (name("torch", "Tensor") + b"}b", "the state of torch.Tensor"),
    "the state of a tensor": (tensor() + group(storage(), b"K\x00") + b"b", "with a state"),
    "an attribute of a list": (b"]}" + text("append") + b"K\x01sb", "the state of"),
    "torch.Tensor of a size": (call("torch", "Tensor", number(10**12)), "torch.Tensor makes it"),
    "an object of torch's": (name("torch", "Tensor") + group(number(10**12)) + b"\x81",
                             "torch.Tensor makes it"),
    "a storage of a size":
        (call("torch", "FloatStorage", number(10**12)), "torch.FloatStorage makes it"),
    "a storage by itself": (storage(), "persistent id makes it"),
    "torch.load": (call("torch", "load", text("x")), "torch.load makes it"),
    "a file within a file":
        (call("torch.storage", "_load_from_bytes", text("x")), "_load_from_bytes makes it"),
    "bytes of a size": (call("builtins", "bytearray", number(10**12)), "builtins.bytearray"),
    "a system call": (call("os", "system", text("true")), "it asks for os.system"),
    "a tensor of a class of its own": (
        call("torch._tensor", "_rebuild_from_type_v2", name("torch._utils", "_rebuild_tensor_v2"),
             name("torch", "Tensor"), group(storage()), b"}"), "a class of its own"),
    "a parameter with attributes": (
        torchs("_rebuild_parameter_with_state", tensor(), b"\x89", NO_HOOKS, b"}"),
        "attributes of its own"),
    "a tensor without a storage": (
        torchs("_rebuild_wrapper_subclass", name("torch", "Tensor"), name("torch", "float32"),
               group(number(10**9)), group(b"K\x01"), b"K\x00", name("torch", "strided"),
               call("torch", "device", text("cpu")), b"\x89"), "a class of its own"),
    "a tensor out of numpy's array": (
        torchs("_rebuild_device_tensor_from_numpy", array(dtype(), (1,), text(POINTER)),
               name("torch", "float32"), text("cuda"), b"\x89"), "a special device"),
    "hooks": (tensor(hooks=b"}K\x00K\x01s"), "more than plain data"),
    "a parameter's hooks": (
        torchs("_rebuild_parameter", tensor(), b"\x89", b"}K\x00K\x01s"), "more than plain data"),
    "numbers seen as conjugate": (tensor(more=[b"}" + text("conj") + b"\x88s"]), "more than plain"),
    "complex numbers": (tensor(of=storage("ComplexFloatStorage")), "of complex numbers"),
    "quantised numbers": (tensor(of=storage("QInt8Storage")), "of quantised numbers"),
    "bytes of any type": (tensor(of=storage("UntypedStorage", module="torch.storage")), "type"),
    "a module": (tensor(of=storage(what="module")), "no tensor's numbers"),
    "a number in the place of a storage": (tensor(of=b"K\x01"), "without numbers of its own"),
    "a part of another storage": (tensor(of=storage(view=group(text("v"), b"K\x00", b"K\x01"))),
                                  "a part of another's"),
    "more numbers than any memory": (tensor(of=storage(count=10**15)), "more than can be there"),
    "fewer than no numbers": (tensor(of=storage(count=-3)), "-3 numbers"),
    "a shape beyond its storage": (tensor((4,)), "beyond its 3 numbers"),
    "strides beyond their storage": (tensor((2,), (3,)), "beyond its 3 numbers"),
    "a start beyond its storage": (tensor(offset=1), "beyond its 3 numbers"),
    "a start before its storage": (tensor(offset=-1), "no shape that can be"),
    "a length below nothing": (tensor((-1,)), "no shape that can be"),
    "a step backwards": (tensor((3,), (-1,)), "no shape that can be"),
    "more lengths than steps": (tensor((1, 1)), "no shape that can be"),
    "a hundred dimensions": (tensor((1,) * 100, (0,) * 100), "no shape that can be"),
    "one number seen very often": (tensor((10**12,), (0,)), "more than is read"),
    "one number seen often, often":
        (b"](" + tensor((10**8,), (0,)) * 9 + b"e", "more than is read"),
    "text in the place of a shape": (torchs("_rebuild_tensor", storage(), b"K\x00", text("3"),
                                            text("1")), "no shape that can be"),
    "a list that holds itself": (b"]q\x00h\x00a", "lists more than 64 deep"),
    "lists too deep": (b"]" * 5000 + b"a" * 4999, "lists more than 64 deep"),
    "text encoded again and again": (
        b"](" + text("x" * 10**6) + b"q\x00" + call("_codecs", "encode", b"h\x00") * 3000 + b"e",
        "unfolds to more"),
    "a dictionary copied again and again": (
        b"](" + b"](" + group(b"K\x01", b"K\x02") * 10**5 + b"eq\x00"
        + call("collections", "OrderedDict", b"h\x00") * 1000 + b"e", "unfolds to more"),
}  # fmt: skip
"""What a file's only entry is, and words of the refusal."""

BROKEN_ZIPS = {
    "a compressed bomb": (
        lambda path: zipped(path, dictionary(a=tensor()), {"data/0": bytes(10**8)},
                            zipfile.ZIP_DEFLATED), "claim 100,000,"),
    "compressed numbers": (
        lambda path: zipped(path, dictionary(a=tensor()), {"data/0": THREE, "x": bytes(99)},
                            zipfile.ZIP_DEFLATED), "is compressed"),
    "fewer numbers than told": (
        lambda path: zipped(path, dictionary(a=tensor()), {"data/0": THREE[:8]}), "has 8 bytes"),
    "a storage that is missing": (
        lambda path: zipped(path, dictionary(a=tensor()), {}), "a/data/0 is missing"),
    "a storage elsewhere": (
        lambda path: zipped(path, dictionary(a=tensor(of=storage(key="../../etc/passwd")))),
        "is missing"),
    "numbers the other way round": (
        lambda path: zipped(path, dictionary(a=tensor()), {"data/0": THREE, "byteorder": b"big"}),
        "big-endian"),
    "a program": (
        lambda path: zipped(path, dictionary(a=tensor()), {"constants.pkl": b""}), "TorchScript"),
    "two tensors of one storage as other types": (
        lambda path: zipped(path, dictionary(a=tensor(), b=tensor(of=storage("IntStorage")))),
        "another's"),
    "a byte that was flipped": (lambda path: flipped(path), "CRC"),
    "a size that was forged": (lambda path: stretched(path), "claim 1,000,0"),
}  # fmt: skip
BROKEN_OLDER = {
    "more numbers than are there": (
        lambda path: older(path, dictionary(a=tensor(of=storage(count=4))), count=4), "cut short"),
    "another count of numbers": (
        lambda path: older(path, dictionary(a=tensor()), count=2), "claims 3 numbers, 2 are there"),
    "a count below nothing": (
        lambda path: older(path, dictionary(a=tensor()), count=-1), "claims 3 numbers"),
    "a storage that is not listed": (
        lambda path: older(path, dictionary(a=tensor()), keys=()), "not those of its tensors"),
    "a storage that is listed twice": (
        lambda path: older(path, dictionary(a=tensor()), keys=("0", "0")), "not those of its"),
    "a storage that nobody has": (
        lambda path: older(path, dictionary(a=tensor()), keys=("0", "1")), "not those of its"),
    "numbers the other way round": (
        lambda path: older(path, dictionary(a=tensor()), endian=b"\x89"), "big-endian"),
    "names in the list of storages": (
        lambda path: older(path, dictionary(a=tensor()) + name("os", "system")), "os.system"),
}  # fmt: skip


def flipped(path):
    """One bit of a tensor's numbers is another."""
    content = bytearray(zipped(path, dictionary(a=tensor())).read_bytes())
    content[content.index(THREE)] ^= 1
    path.write_bytes(content)


def stretched(path):
    """The zip's list says of its first part that it is larger than the whole file."""
    content = bytearray(zipped(path, dictionary(a=tensor())).read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 20 : at + 28] = struct.pack("<II", 10**6, 10**6)
    path.write_bytes(content)


def cases(folder):
    """Every file there is: its name, and a function that writes it."""
    path = folder / "forged.pt"
    for words, (entry, _) in FORGED.items():
        for write in (zipped, older):
            yield f"{write.__name__}: {words}", lambda e=entry, w=write: w(path, dictionary(a=e))
    for kind, broken in (("zipped", BROKEN_ZIPS), ("older", BROKEN_OLDER)):
        for words, (make, _) in broken.items():
            yield f"{kind}: {words}", lambda make=make: make(path)


def expected():
    """Words of each refusal, by the case's name."""
    for words, (_, told) in FORGED.items():
        yield f"zipped: {words}", told
        yield f"older: {words}", told
    for kind, broken in (("zipped", BROKEN_ZIPS), ("older", BROKEN_OLDER)):
        yield from ((f"{kind}: {words}", told) for words, (_, told) in broken.items())


def outcome_of(path):
    """What reading gives; any error but one is the user's traceback."""
    try:
        read_torch(path)
    except FileProblem as problem:
        return str(problem)
    return "read"


def main(folder):
    """Read all of them in little memory."""
    good = zipped(folder / "good.pt", dictionary(a=tensor()))
    assert outcome_of(good) == "read"  # and imports what reading needs
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    outcomes = {}
    for words, write in cases(folder):
        print(words, file=sys.stderr, flush=True)  # the last one told is what a crash is of
        write()
        outcomes[words] = outcome_of(folder / "forged.pt")
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
