"""Ports of this machine: one that is free, and one at which a server is to answer."""

from __future__ import annotations

import socket
import time

import psutil


def free_port() -> int:
    """A port at which nothing answers, and at which a server can be started."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def wait_for_port(process: psutil.Popen, port: int) -> None:
    """Waits until a server, which must not end meanwhile, answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=5).close()
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
