"""A child process of the runner: does the jobs that come in, one after the other.

Jobs come pickled through standard input from the parent; an answer to each goes back through
standard output as a line of JSON. The end of the input is the end of the process, in the midst of
a job as well: then the parent was killed.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from typing import BinaryIO

from hmrlab.data.prepare.parts import do_job
from hmrlab.files import FileProblem


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else prints must not come between
    jobs: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, jobs), daemon=True).start()
    while True:
        answer = {}
        try:
            do_job(*jobs.get())
        except FileProblem as problem:
            answer = {"problem": str(problem)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _listen(pipe: BinaryIO, jobs: queue.SimpleQueue) -> None:
    while True:
        try:
            jobs.put(pickle.load(pipe))
        except EOFError:
            os._exit(0)


if __name__ == "__main__":
    main()
