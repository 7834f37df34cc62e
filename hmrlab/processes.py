"""Work in child processes that end when the process which started them does, however it ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import ModuleType

from hmrlab.files import FileProblem

Work = Callable[[], object]


def work_in_processes(
    work: Mapping[str, Work], workers: int, done: Callable[[], object], when_killed: str
) -> None:
    """Do pieces of work in order, each in the next process that is free, of so many at most.

    They have names for messages, and are a module's function or a `functools.partial` of one, as
    pickle can send them. `done` is called after each, in this thread; `when_killed` is what to say
    besides if the system ends a process.

    Raises:
        FileProblem, OSError: as a piece of work did; all processes are stopped.
        FileProblem: a process was killed.
        RuntimeError: a piece of work failed in another way.
    """
    if not work:
        return
    count, left = min(workers, len(work)), list(work)
    try:
        with process_pool(count) as pool:
            names = {pool.submit(_problem_of, piece): name for name, piece in work.items()}
            pool.submit(list)  # a pool sees the death of its last process only after one more call
            for finished in as_completed(names):
                problem = finished.result()
                if isinstance(problem, str):
                    raise RuntimeError(f"{names[finished]} failed in its process:\n{problem}")
                if problem is not None:
                    raise problem
                left.remove(names[finished])
                done()
    except BrokenProcessPool:
        begun = " or ".join(left[:count])  # they are begun in order
        raise FileProblem(
            f"the process at {begun} was killed, perhaps for want of memory. {when_killed}"
        ) from None


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes that wait for work, gone at the end.

    After an error here, Ctrl-C among them, and if this process is killed, they end in the midst of
    their work: they hold the other end of a pipe that only this process keeps open.
    """
    context = multiprocessing.get_context("spawn")  # a fork would share torch's threads and locks
    theirs, ours = context.Pipe(duplex=False)
    pool = _Pool(workers, context, initializer=_begin, initargs=(theirs,))
    try:
        yield pool
    except BaseException:
        ours.close()
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown()
        ours.close()
        theirs.close()


def end_with_parent(lifeline: Connection | None = None) -> None:
    """In a child of `multiprocessing`: end as soon as the parent does, or closes the pipe's end."""
    parent = multiprocessing.parent_process()
    ends = [parent.sentinel] if lifeline is None else [parent.sentinel, lifeline]

    def watch() -> None:
        wait(ends)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Pool(ProcessPoolExecutor):
    """Its processes do not import the user's script, and so need no guard in it."""

    def submit(self, *args: object, **kwargs: object) -> Future:
        """See `concurrent.futures`; this is where processes are started."""
        # A spawned process imports `__main__`, if that has a name or a file: a script without a
        # guard would start itself again, and one with torch would make each child wait for it.
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return super().submit(*args, **kwargs)
        except (OSError, ValueError) as error:
            # The pool may be giving up on its first process while this starts the second: the pipe
            # that this one is to read is closed by then, which is an error of either kind.
            raise BrokenProcessPool("a process ended before it had begun") from error
        finally:
            sys.modules["__main__"] = main


def _begin(lifeline: Connection) -> None:
    """In a new process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    end_with_parent(lifeline)


def _problem_of(work: Work) -> Exception | str | None:
    """Do it, and tell what went wrong in a form that pickle can send whatever was raised."""
    try:
        work()
    except FileProblem as problem:
        return FileProblem(str(problem))
    except OSError as error:
        return OSError(error.errno, error.strerror or str(error))
    except Exception:
        return traceback.format_exc()
    return None
