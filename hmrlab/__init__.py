"""hmrlab: human mesh recovery, rebuilt one piece at a time."""

__version__ = "0.1.0"
