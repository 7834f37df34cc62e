"""`python -m hmrlab.cli`."""

from hmrlab.cli import main

main()
