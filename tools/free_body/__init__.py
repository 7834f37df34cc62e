"""Building the free body's files; needs the extra `hmrlab[body]`."""

from free_body.build import build_free_body

__all__ = ["build_free_body"]
