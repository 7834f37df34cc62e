"""From the files of SMPL and SPIN, as they are released, to bodies in hmrlab's format."""

from hmrlab.bodies.importing.run import GENDERS, Imported, import_files

__all__ = ["GENDERS", "Imported", "import_files"]
