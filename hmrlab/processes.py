"""Child processes that end when the process which started them does, however that came to its end.

A process that is killed cannot clean up. So each child has a pipe as its standard input whose other
end only the parent holds: where the pipe ends, the child ends itself, in the midst of its work.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from typing import BinaryIO

from hmrlab.files import FileProblem

Work = Callable[[], object]


def work_in_processes(
    work: Mapping[str, Work], workers: int, done: Callable[[], object], when_killed: str
) -> None:
    """Do pieces of work, each in whichever process is free.

    Plain child processes: they work alike in scripts, notebooks and tests, on any system.

    Args:
        work: by what each piece is called in messages, in order; as pickle can send them, which is
            a module's function or a `functools.partial` of one.
        workers: processes at most.
        done: called after each piece, in this thread.
        when_killed: what to say besides if the system ends a process.

    Raises:
        FileProblem, OSError: as a piece of work did; all processes are stopped.
        FileProblem: a process was killed.
        RuntimeError: a piece of work failed in another way.
    """
    crew: list[_Worker] = []
    free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def do(name: str) -> None:
        worker = free.get()
        try:
            worker.do(name, work[name], when_killed)
        finally:
            free.put(worker)

    try:
        for _ in range(min(workers, len(work))):
            crew.append(_Worker())
            free.put(crew[-1])
        with ThreadPoolExecutor(max(1, len(crew))) as threads:
            try:
                for finished in as_completed([threads.submit(do, name) for name in work]):
                    finished.result()
                    done()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                for worker in crew:
                    worker.process.kill()  # ends the waiting of its thread
                raise
    finally:
        for worker in crew:
            worker.end()


@contextmanager
def lifeline() -> Iterator[int]:
    """What a child that calls `end_with_parent` gets as its standard input, while it is wanted."""
    ours, theirs = os.pipe()
    try:
        yield ours
    finally:
        os.close(theirs)
        os.close(ours)


def end_with_parent() -> None:
    """In a child: end as soon as the parent does.

    For those of `multiprocessing`, and for others whose standard input is a `lifeline`.
    """
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        else:
            while os.read(0, 1):  # `sys.stdin` would be in use when the process ends by itself
                pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Worker:
    """A child process and the pipes to it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "hmrlab.processes"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, name: str, work: Work, when_killed: str) -> None:
        """One piece of work; waits for it."""
        try:
            _send(self.process.stdin, pickle.dumps(work))
            problem = pickle.loads(_receive(self.process.stdout))
        except (BrokenPipeError, EOFError):
            raise FileProblem(
                f"the process at {name} was killed, perhaps for want of memory. {when_killed}"
            ) from None
        if isinstance(problem, str):
            raise RuntimeError(f"{name} failed in its process:\n{problem}")
        if problem is not None:
            raise problem

    def end(self) -> None:
        """Let it go; it waits for nothing but the end of its input."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def _serve() -> None:
    """In a worker: do what comes in, one after the other, and answer each with what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints must not come between
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, waiting), daemon=True).start()
    while True:
        answer = pickle.dumps(_problem_of(waiting.get()))
        with suppress(BrokenPipeError):  # the parent is gone, and `_listen` about to see it
            _send(answers, answer)


def _problem_of(work: bytes) -> Exception | str | None:
    try:
        pickle.loads(work)()
    except FileProblem as problem:
        return FileProblem(str(problem))
    except OSError as error:
        return OSError(error.errno, error.strerror or str(error))
    except Exception:
        return traceback.format_exc()
    return None


def _listen(pipe: BinaryIO, waiting: queue.SimpleQueue[bytes]) -> None:
    """Apart from the work, which may take long: the end of the input is to be seen at once."""
    while True:
        try:
            waiting.put(_receive(pipe))
        except EOFError:
            os._exit(0)


def _send(pipe: BinaryIO, message: bytes) -> None:
    pipe.write(len(message).to_bytes(8, "little") + message)
    pipe.flush()


def _receive(pipe: BinaryIO) -> bytes:
    """A message; EOFError where the pipe ends before or in it."""
    size = int.from_bytes(pipe.read(8), "little")
    message = pipe.read(size)
    if not message or len(message) < size:
        raise EOFError
    return message


if __name__ == "__main__":
    _serve()
