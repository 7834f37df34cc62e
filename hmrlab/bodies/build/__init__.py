"""Building the free body's asset; needs the extra `hmrlab[body]`, which nothing else does."""

from hmrlab.bodies.build.free_body import build_free_body

__all__ = ["build_free_body"]
