"""A damaged source ends the build with a sentence, or what is published is right: end to end.

As many cases of each kind as a test has time for; more are tried by
`python -m support.hostile.server 1000`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.hostile.corpora import KINDS
from support.hostile.server import Server

CASES = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hostile")) as started:
        yield started


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_leads_to_a_wrong_dataset(kind: str, server: Server):
    found = server.fuzz(kind, range(CASES))
    assert found["failures"] == []
    assert sum(found["outcomes"].values()) == CASES
    assert found["outcomes"]["refused"] > 0
    assert found["peak"] < 1 << 30  # TensorFlow, asked about an image that is not decoded without.
