"""Small work is done in one process; decoded images are much work in few bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.building import DUMMY_ARCHIVES, build

from imagenet_builders.build import steps
from imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder import (
    Builder as Originals,
)
from imagenet_builders.datasets.imagenet2012_resized.imagenet2012_resized_dataset_builder import (
    Builder as Resized,
)
from imagenet_builders.options import BuildOptions
from imagenet_builders.run.local import LocalWorkers
from imagenet_builders.write.shard import write_shard


@pytest.mark.parametrize(
    ("builder", "options", "decoded"),
    [(Originals, {}, False), (Originals, {"decode": True}, True), (Resized, {}, True)],
)
def test_images_that_are_decoded_are_worth_a_process(
    builder: type,
    options: dict[str, Any],
    decoded: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = []
    run = LocalWorkers.run

    def noting(self: LocalWorkers, function: Any, *args: Any, **how: Any) -> Any:
        if function is write_shard:
            here.append(how["in_process"])
        return run(self, function, *args, **how)

    monkeypatch.setattr(LocalWorkers, "run", noting)
    given = {"options": BuildOptions(workers=1, **options)}
    for images_worth_it in (1_000, 20):  # There are 42.
        monkeypatch.setattr(steps, "_DECODED_BYTES", steps._SMALL_BYTES // images_worth_it)
        build(builder, DUMMY_ARCHIVES, tmp_path / f"{images_worth_it}", builder_options=given)
    assert here == [True, not decoded]
