"""What a member of the steward's group can do to a build: nothing but end it.

Tried with two users, by number, and the real command line; the steward is a user, and root.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.neighbours import STEWARDS, World, world


@pytest.fixture(params=STEWARDS, ids=["user", "root"])
def space(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param) as made:
        yield made


def test_nobody_in_the_way(space: World) -> None:
    done = space.build()
    assert done.status == 0, done.err
    assert space.version_of() is not None
    space.check()
