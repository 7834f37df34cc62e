"""What the benchmarks share: spreads, where a figure comes from, and where it goes."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from hmrlab.files import FileProblem, write_text_whole
from hmrlab.ledger import current_command, describe_machine, source_commit, versions

HERE = Path(__file__).parent


def clock(device: str) -> float:
    """Seconds, once the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most, to four digits."""
    figures = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def in_words(figures: dict[str, float], digits: int = 1) -> str:
    """A spread for a table: "53.4 (52.2 to 58.4)", or one number where it was measured once."""
    median, least, most = (f"{figures[name]:,.{digits}f}" for name in ("median", "least", "most"))
    return median if least == most else f"{median} ({least} to {most})"


def provenance(seed: int, device: str = "cpu") -> dict[str, Any]:
    """Where figures come from."""
    used = torch.cuda.get_device_name() if device == "cuda" else None
    return {
        "command": f"python {current_command()}",
        "commit": measured_commit(),
        "machine": describe_machine(used),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "seed": seed,
        "date": time.strftime("%Y-%m-%d"),
    }


def measured_commit() -> str:
    """`source_commit`, to which what benchmarks write is no change of the source."""
    commit = source_commit()
    source = [":/", ":!/benchmarks/results", ":!/benchmarks/README.md"]
    if not commit.endswith("+dirty"):
        return commit
    command = ["git", "-C", str(HERE), "status", "--porcelain", "--", *source]
    changed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return commit if changed else commit.removesuffix("+dirty")


def origin(result: dict[str, Any]) -> str:
    """The same as a sentence below a table."""
    made = result["provenance"]
    used = ", ".join(f"{name} {made['versions'][name]}" for name in ("torch", "numpy"))
    commit, _, dirty = made["commit"].partition("+")
    commit = commit[:7] + (" and changes to it" if dirty else "")
    threads = f"{made['threads']} thread{'s' if made['threads'] != 1 else ''}"
    return (
        f"Measured {made['date']} at commit {commit} on {made['machine']}; {threads}, "
        f"seed {made['seed']}; Python {made['versions']['python']}, {used}."
    )


def publish(name: str, result: dict[str, Any], text: str, folder: Path = HERE) -> None:
    """Write results/NAME.json and the block of README.md that shows it.

    Raises:
        FileProblem: README.md has no such block.
    """
    readme = folder / "README.md"
    old = readme.read_text(encoding="utf-8")
    begin, end = _markers(name, old)
    before, after = old.split(begin)[0], old.split(end)[1]
    new = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    write_text_whole(folder / "results" / f"{name}.json", json.dumps(result, indent=1) + "\n")
    write_text_whole(readme, new)


def keep_json(path: Path | None, result: dict[str, Any]) -> None:
    """Write a result to a file of the caller's, if there is one."""
    if path is not None:
        write_text_whole(path, json.dumps(result, indent=1) + "\n")


def block(name: str, readme: str) -> str:
    """What stands in README's block of that name, markers left out.

    Raises:
        FileProblem: there is none.
    """
    begin, end = _markers(name, readme)
    return readme.split(begin)[1].split(end)[0]


def _markers(name: str, readme: str) -> tuple[str, str]:
    begin, end = f"<!-- {name}: written by make bench -->", f"<!-- end of {name} -->"
    if readme.count(begin) != 1 or readme.count(end) != 1:
        raise FileProblem(f"README.md needs one block for {name}: put {begin} and {end} into it")
    return begin, end


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
