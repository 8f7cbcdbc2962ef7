"""Calls for many files: their results in order, one error of several, and when threads help."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from imagenet_builders.files.at_once import at_once


def slow(number: int) -> int:
    time.sleep(0.02)
    return number


def quick(number: int) -> int:
    return sum(range(2000)) * 0 + number


def spinning(number: int) -> str:
    end = time.thread_time() + 0.001
    while time.thread_time() < end:
        pass
    return threading.current_thread().name


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("function", [slow, quick])
def test_results_are_in_order(
    function: Callable[[int], int], waits: bool, threads: int, count: int
) -> None:
    count = min(count, 20) if function is slow else count
    assert at_once(function, range(count), threads=threads, waits=waits) == list(range(count))


@pytest.mark.parametrize("waits", [False, True])
def test_calls_that_wait_wait_together(waits: bool) -> None:
    start = time.perf_counter()
    at_once(slow, range(96), threads=16, waits=waits)
    assert time.perf_counter() - start < 0.6 * 96 * 0.02


def test_calls_that_work_have_no_thread() -> None:
    names = at_once(spinning, range(40), threads=16)
    # Where other processes have the processor, some calls may seem to wait, but not all.
    assert names.count(threading.current_thread().name) >= 16


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("waits", [False, True])
def test_the_error_is_that_of_the_first_that_failed(waits: bool, threads: int) -> None:
    before = threading.active_count()
    ended: set[int] = set()

    def fail_from_20_on(number: int) -> int:
        time.sleep(0.001 if number % 2 else 0.003)
        ended.add(number)
        if number >= 20:
            raise ValueError(number)
        return number

    with pytest.raises(ValueError, match=r"^20$"):
        at_once(fail_from_20_on, range(200), threads=threads, waits=waits)
    assert ended >= set(range(21))
    assert len(ended) < 60
    assert threading.active_count() == before


def test_an_interruption_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start"):
        at_once(slow, range(500), threads=8, waits=True)
    assert threading.active_count() == before
