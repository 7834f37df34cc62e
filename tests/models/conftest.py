"""The module of forged files beside the tests is found by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
