"""Does the same with many files: by threads where each waits for its storage, else without any.

Over a network, or until a disk confirms, a call waits for milliseconds, and many can wait together.
On a disk of this machine most calls take some microseconds, in which to hand a file to a thread and
to hear of it takes several times what the file does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# So many calls tell whether they wait: some are slower for no reason of theirs.
_TRIED = 16


def at_once(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    threads: int,
    waits: bool = False,
) -> list[_Result]:
    """Calls a function for each item.

    Args:
        function: Called for one item, in any thread.
        items: The items.
        threads: Threads at most, this one among them.
        waits: Whether it is known that each call waits for the storage. If not, that is seen from
            the time that this thread has the processor meanwhile.

    Returns:
        What each call returned, in the order of the items.

    Raises:
        Exception: What the call for the first item raised that has failed. All calls that were
            begun have ended by then.
    """
    todo = list(items)
    results: dict[int, _Result] = {}
    errors: dict[int, BaseException] = {}
    left = iter(range(len(todo)))  # Its `next` is one step for Python, whichever thread asks.

    def work(calls: int = len(todo)) -> None:
        for _ in range(calls):
            if errors or (number := next(left, None)) is None:
                return
            try:
                results[number] = function(todo[number])
            except BaseException as error:
                errors[number] = error

    while not waits and not errors and len(results) < len(todo):
        start, worked = time.perf_counter(), time.thread_time()
        work(_TRIED)
        waits = time.perf_counter() - start > 2 * (time.thread_time() - worked)
    helpers: list[threading.Thread] = []
    try:
        for _ in range(min(threads, len(todo) - len(results)) - 1):
            helpers.append(threading.Thread(target=work, name="at-once"))
            helpers[-1].start()
        work()
    except BaseException as error:
        errors[-1] = error  # Such as a thread that cannot be started; the others end.
    finally:
        for helper in helpers:
            if helper.ident is not None:  # It was started.
                helper.join()
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(len(todo))]
