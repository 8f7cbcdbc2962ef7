"""A process of the tests that answers each request, a line of JSON, with one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from support.processes import environment_of_tests


class LineServer:
    """A module that runs as a process: says `ready` first, and ends with its input.

    Args:
        module: The module, which is run as a program.
        arguments: Its arguments.
        unset: Beginnings of the names of variables that it is not to see.
    """

    def __init__(self, module: str, *arguments: str, unset: tuple[str, ...] = ()):
        self._command = [sys.executable, "-m", module, *arguments]
        self._unset = unset

    def __enter__(self) -> Self:
        env = {name: v for name, v in os.environ.items() if not name.startswith(self._unset)}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment_of_tests(env),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self.begin()
        return self

    def begin(self) -> None:
        """Waits until it is ready."""
        assert self.answer() == "ready"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._to.close()
        self._from.close()
        self._process.wait()

    def ask(self, request: Any) -> Any:
        """Sends a request; its answer."""
        self._to.write(json.dumps(request) + "\n")
        return self.answer()

    def answer(self) -> Any:
        return json.loads(self._from.readline())
