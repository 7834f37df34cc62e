"""Processes that work through a list of jobs: plain children, alike in scripts and notebooks."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

from hmrlab.data.prepare.recipe import Job
from hmrlab.files import FileProblem


def work_in_processes(
    jobs: list[Job], parts: Path, pictures: Path, workers: int, done: Callable[[], None]
) -> None:
    """Do jobs, each in whichever process is free.

    Args:
        jobs: that are to be done.
        parts: folder for what they find.
        pictures: folder that picture names are relative to.
        workers: processes.
        done: called after each job, in any thread.

    Raises:
        FileProblem: a job's; the others are stopped, and what they were at is lost.
        RuntimeError: a job failed in another way.
    """
    waiting = deque(jobs)
    crew = [_Worker() for _ in range(workers)]

    def serve(worker: _Worker) -> None:
        while waiting:
            try:
                job = waiting.popleft()
            except IndexError:  # another was quicker
                return
            worker.do(job, parts, pictures)
            done()

    try:
        with ThreadPoolExecutor(workers) as threads:
            try:
                for served in as_completed([threads.submit(serve, worker) for worker in crew]):
                    served.result()
            except BaseException:
                waiting.clear()
                for worker in crew:
                    worker.process.kill()  # ends the waiting of its thread
                raise
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    """A child process and the pipes to it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "hmrlab.data.prepare.worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, job: Job, parts: Path, pictures: Path) -> None:
        """One job, from its files to its part; waits for it."""
        try:
            pickle.dump((job, parts, pictures), self.process.stdin)
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise FileProblem(
                f"the process at {job.name} was killed, perhaps for want of memory. What was done "
                "is kept: run the command again, with fewer processes (--workers 1)."
            )
        answer = json.loads(line)
        if "problem" in answer:
            raise FileProblem(answer["problem"])
        if "error" in answer:
            raise RuntimeError(f"{job.name} failed in its process:\n{answer['error']}")

    def end(self) -> None:
        """Let it go; it waits for nothing but the end of its input."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
