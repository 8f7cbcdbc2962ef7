"""Garbage collections are off where nothing is garbage, and on again whatever happens."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from imagenet_builders.run.garbage import set_aside, uncollected


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    was = gc.isenabled()
    yield
    gc.enable() if was else gc.disable()


def test_nothing_is_collected_inside_and_again_afterwards():
    gc.enable()
    inside: list[bool] = []
    with pytest.raises(ZeroDivisionError):
        _fail_in(inside)
    assert inside == [False]
    assert gc.isenabled()


def _fail_in(inside: list[bool]) -> None:
    with uncollected():
        inside.append(gc.isenabled())
        raise ZeroDivisionError


def test_one_inside_another_ends_with_the_outer_one():
    gc.enable()
    with uncollected():
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_is_set_aside_is_not_looked_at_before_the_end_of_the_block():
    class Loop:
        def __init__(self) -> None:
            self.itself = self

    gc.disable()
    before = weakref.ref(Loop())
    with set_aside():
        inside = weakref.ref(Loop())
        gc.collect()
        assert inside() is None
        assert before() is not None
    gc.collect()
    assert before() is None


def test_it_is_not_switched_on_for_a_caller_who_has_switched_it_off():
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
