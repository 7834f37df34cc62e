"""A kernel that is this very interpreter, and that cannot fall over another one's ports."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import default

from hmrlab.files import scratch_folder
from hmrlab.rendering import environment_for_children

_LONGEST_SOCKET_PATH = 90  # Unix allows 104 to 108 bytes, and a port's number is added


class _ThisInterpreter(KernelSpecManager):
    """Answers every name with the running interpreter.

    The kernel called `python3` may be another environment's: whoever installed one for the user
    takes the name.
    """

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            interrupt_mode="signal",
            env=environment_for_children(),
        )


@contextmanager
def kernel_manager_class() -> Iterator[type[AsyncKernelManager]]:
    """A kernel manager class for nbclient, good for one kernel while the context lasts.

    Its `kill` ends the kernel that was started, in the midst of a cell, and its children with it.

    The kernel talks through Unix sockets in a folder of its own, so that kernels which start at the
    same time cannot race for ports; where there are none (Windows), or the folder's name is too
    long for one, through TCP.
    """
    with scratch_folder() as folder:
        started: list[int] = []
        sockets = os.name == "posix" and len(os.fsencode(folder)) < _LONGEST_SOCKET_PATH

        class OwnKernelManager(AsyncKernelManager):
            @default("kernel_spec_manager")
            def _own_interpreter(self) -> KernelSpecManager:
                return _ThisInterpreter()

            @default("connection_file")
            def _own_connection_file(self) -> str:
                return str(folder / "kernel.json")

            @default("transport")
            def _own_transport(self) -> str:
                return "ipc" if sockets else "tcp"

            async def _async_post_start_kernel(self, **options: Any) -> None:
                await super()._async_post_start_kernel(**options)
                started.append(self.provisioner.pid)

            post_start_kernel = _async_post_start_kernel

            @staticmethod
            def kill() -> None:
                for pid in started:
                    with suppress(ProcessLookupError, PermissionError):
                        _kill_group(pid)

        yield OwnKernelManager


def _kill_group(pid: int) -> None:
    """Kill a kernel, which leads a group of its own, and whatever it has started."""
    if os.name == "posix" and os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGTERM)
