"""Files: read with care, written whole or not at all.

One reader for each kind of file that comes from elsewhere. Each opens regular files only, holds
what the file says of itself against what is there and against a stated limit before it allocates,
and raises `FileProblem` with file, place and remedy for everything else.
"""

from hmrlab.files.arrays import (
    MAX_BYTES,
    ArrayHeader,
    NpzArchive,
    Shape,
    check_shapes,
    npy_header,
    open_npz,
    read_npy,
    read_npz,
)
from hmrlab.files.jsons import Count, Positive, parse_json, read_json
from hmrlab.files.opening import (
    BadArrayError,
    FileProblem,
    listed,
    open_regular,
    printable,
    read_bytes,
    read_text,
    resolve,
    sha256_of,
    shown,
    user_path,
)
from hmrlab.files.pictures import MAX_PIXELS, open_picture, read_rgb
from hmrlab.files.writing import (
    one_at_a_time,
    save_npz_whole,
    scratch_folder,
    sweep,
    whole_folder,
    write_text_whole,
    write_whole,
)

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "ArrayHeader",
    "BadArrayError",
    "Count",
    "FileProblem",
    "NpzArchive",
    "Positive",
    "Shape",
    "check_shapes",
    "listed",
    "npy_header",
    "one_at_a_time",
    "open_npz",
    "open_picture",
    "open_regular",
    "parse_json",
    "printable",
    "read_bytes",
    "read_json",
    "read_npy",
    "read_npz",
    "read_rgb",
    "read_text",
    "resolve",
    "save_npz_whole",
    "scratch_folder",
    "sha256_of",
    "shown",
    "sweep",
    "user_path",
    "whole_folder",
    "write_text_whole",
    "write_whole",
]
