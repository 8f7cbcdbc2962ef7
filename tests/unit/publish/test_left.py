"""What is said of finished shards that a build does not go on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_builders.publish.left import Left

LEFT = Path("left")


@pytest.mark.parametrize(("count", "shards"), [(1, "1 finished shard"), (2, "2 finished shards")])
def test_one_shard_is_told_as_one(count: int, shards: str) -> None:
    finished = frozenset(map(str, range(count)))
    theirs = Left(LEFT, finished=finished, is_ours=False)
    assert theirs.why_not() == [f"{shards} of another user in left cannot be used here"]
    open_to_all = Left(LEFT, finished=finished, problem="others could enter it (mode 777)")
    (said,) = open_to_all.why_not()
    assert said == f"removed {shards} in left, of no use because others could enter it (mode 777)"
    other = Left(LEFT, finished=finished, description={"file format": "tfrecord"})
    (said,) = other.why_not({"file format": "array_record"})
    because = "its file format was 'tfrecord' and is 'array_record'"
    assert said == f"removed {shards} of an earlier build, of no use because {because}"


def test_nothing_is_said_of_none() -> None:
    assert Left(LEFT, is_ours=False).why_not() == []
