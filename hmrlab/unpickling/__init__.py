"""Arrays out of a user's pickle, by a reader that calls nothing."""

from hmrlab.unpickling.models import ModelFile, load_arrays, load_model_file, load_plain

__all__ = ["ModelFile", "load_arrays", "load_model_file", "load_plain"]
