"""Builds of imagenet21k_winter21 from small corpora in every layout; what several modules need."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from makers import archives
from makers.imagenet21k_winter21 import (
    Winter21,
    make_imagenet21k_winter21,
    write_gzip,
)

from imagenet_builders import images, labels
from imagenet_builders.datasets.imagenet21k_winter21.imagenet21k_winter21_dataset_builder import (
    Builder,
)
from imagenet_builders.options import BuildOptions
from support.building import build
from support.built_datasets import recorded_splits, records, shards, split_content

LAYOUTS = {
    "whole": ("class tars", "tar", "tar.gz", "folders", "shards"),
    "p": ("tar", "tar.gz", "folders"),
}


def build_here(
    config: str,
    manual_dir: Path,
    data_dir: Path,
    cls: type = Builder,
    options: dict[str, Any] | None = None,
    **download: Any,
) -> Path:
    defaults: dict[str, Any] = {"workers": 1, "scratch_dir": str(data_dir / "scratch")}
    given = {"options": BuildOptions(**defaults | (options or {})), "config": config}
    return build(cls, manual_dir, data_dir, builder_options=given, **download)


def make(directory: Path, config: str, layout: str, **options: Any) -> Winter21:
    other = "p" if config == "whole" else "whole"
    return make_imagenet21k_winter21(directory, **{config: layout, other: None} | options)


def expected(corpus: Winter21, config: str) -> dict[str, dict[str, tuple[int, bytes]]]:
    """Label and image of each name, split by split, from what the maker says it has stored."""
    wnids = labels.wnids({"whole": "imagenet21k_winter21", "p": "imagenet21k_p"}[config])
    splits = {"train": corpus.whole} if config == "whole" else {}
    if config == "p":
        splits = {"train": corpus.train, "validation": corpus.validation}
    return {
        split: {
            name: (
                wnids.index(stored.wnid),
                images.inspect_and_repair(stored.data, images.OPTIONAL_REPAIRS).data,
            )
            for name, stored in content.items()
        }
        for split, content in splits.items()
    }


def content(directory: Path) -> dict[str, dict[str, tuple[int, bytes]]]:
    splits = [split["name"] for split in recorded_splits(directory)]
    return {
        split: {name: (label, image) for name, label, image in split_content(directory, split)}
        for split in splits
    }


def all_records(directory: Path) -> dict[str, list[bytes]]:
    return {shard.name: records(shard) for shard in shards(directory)}


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def pack(directory: Path, layout: str) -> None:
    """Turns the class folders of `whole` into another layout."""
    root = directory / "winter21_whole"
    if layout == "folders":
        return
    tars = {
        f"{folder.name}.tar": archives.tar_bytes(
            [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
        )
        for folder in sorted(root.iterdir())
    }
    shutil.rmtree(root)
    if layout == "class tars":
        root.mkdir()
        for name, data in tars.items():
            (root / name).write_bytes(data)
        return
    archives.write_tar(
        directory / "winter21_whole.tar",
        [(f"winter21_whole/{name}", data) for name, data in tars.items()],
        dirs=["winter21_whole"],
    )
    if layout == "tar.gz":
        plain = directory / "winter21_whole.tar"
        write_gzip(directory / "winter21_whole.tar.gz", plain.read_bytes())
        plain.unlink()


def pack_p(directory: Path, layout: str, prefix: str = "") -> None:
    """Turns the folder of `p` into an archive."""
    if layout == "folders":
        return
    root = directory / "imagenet21k_resized"
    members = [
        (prefix + str(path.relative_to(directory)), path.read_bytes())
        for path in sorted(root.rglob("*.JPEG"))
    ]
    shutil.rmtree(root)
    if layout == "tar":
        archives.write_tar(directory / "imagenet21k_resized.tar", members)
    else:
        write_gzip(directory / "imagenet21k_resized.tar.gz", archives.tar_bytes(members))


def unpacked_in(data_dir: Path) -> list[Path]:
    """What was unpacked to the scratch directory of `build_here`, and is kept."""
    return list((data_dir / "scratch").rglob("unpacked-*/*"))
