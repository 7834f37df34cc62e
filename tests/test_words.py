"""Words that were given up for the field's own stay away from the code."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RETIRED = (
    "IMAGENET_DEVIATION", "scale_deviation", "rotation_deviation", "FitMemory", "fill_memory",
    "TaughtObjective", "BodyObjective", "Prediction", "Guess", "named_run", "Pretraining",
    "regressor_rate", "rectified", "doublings", "FitPlan", "AdversaryPlan", "PrunePlan",
    "FreshPlan", "Asker", "ask_for_all", "Watcher", "graded", "cell_middles", "_bell",
)  # fmt: skip
KEPT = {"rectified": "hmrlab/models/checkpoints.py"}  # an entry of files that are out there


def test_retired_words_are_in_no_code():
    pattern = re.compile(rf"(?<![\w.\"])({'|'.join(RETIRED)})(?=\W)(?!\")")
    found = []
    for folder in ("hmrlab", "notebooks", "benchmarks", "tools", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path == Path(__file__):
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                code = line.partition("#")[0]
                for word in pattern.findall(code):
                    if KEPT.get(word) != str(path.relative_to(ROOT)):
                        found.append(f"{path.relative_to(ROOT)}:{number}: {word}")
    assert not found, "\n".join(found)
