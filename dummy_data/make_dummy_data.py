"""Makes the committed dummy archives again, or a large corpus to measure builds with.

The archives are committed so that tests read what a reader of the repository can list and look at;
this script is committed so that anyone can see where they come from and change them.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from makers import (
    ilsvrc2012,
    ilsvrc2012_large,
    imagenet12k,
    imagenet21k_winter21,
    imagenet2012_dogs,
    imagenet2012_downsampled,
    imagenet2012_localization,
    tiny_imagenet,
)

_HERE = Path(__file__).resolve().parent


def make_dummy_data(out: Path) -> list[Path]:
    """Writes every committed archive below `out`, one folder a dataset, and returns the paths."""
    paths = list(ilsvrc2012.make_corpus(out / "imagenet2012").archives.values())
    boxed = imagenet2012_localization.make_imagenet2012_localization(
        out / "imagenet2012_localization"
    )
    paths += [*boxed.pictures.archives.values(), *boxed.boxes.values()]
    dogs = imagenet2012_dogs.make_imagenet2012_dogs(out / "imagenet2012_dogs")
    paths += sorted(dogs.directory.iterdir())
    downsampled = out / "imagenet2012_downsampled"
    imagenet2012_downsampled.make_imagenet2012_downsampled(downsampled)
    paths += sorted(downsampled.iterdir())
    winter21 = imagenet21k_winter21.make_imagenet21k_winter21(out / "imagenet21k_winter21")
    paths += sorted(winter21.directory.iterdir())
    paths += sorted(imagenet12k.make_imagenet12k(out / "imagenet12k").directory.iterdir())
    paths.append(tiny_imagenet.make_tiny_imagenet(out / "tiny_imagenet").path)
    return paths


def _make_corpus(arguments: argparse.Namespace) -> None:
    start = time.perf_counter()
    corpus = ilsvrc2012_large.make_large_corpus(
        arguments.corpus,
        gigabytes=arguments.gb,
        seed=arguments.seed,
        classes=arguments.classes,
        test_fraction=arguments.test_fraction,
    )
    seconds = time.perf_counter() - start
    for split, path in corpus.archives.items():
        size = path.stat().st_size
        print(f"{path}: {corpus.images[split]:,} pictures, {size:,} bytes")
    total = sum(corpus.image_bytes.values())
    print(f"{total / 1e9:.2f} GB of pictures in {seconds:.1f} s, {total / 1e6 / seconds:.0f} MB/s")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=_HERE, help="where the dummy archives go (default: %(default)s)"
    )
    large = parser.add_argument_group("a large corpus instead")
    large.add_argument("--corpus", type=Path, metavar="DIR", help="where the large corpus goes")
    large.add_argument("--gb", type=float, default=6.0, help="its size (default: %(default)s)")
    large.add_argument("--seed", type=int, default=0, help="its seed (default: %(default)s)")
    large.add_argument(
        "--classes", type=int, default=1000, help="how many classes (default: %(default)s)"
    )
    large.add_argument(
        "--test-fraction",
        type=float,
        default=0.0,
        help="share of the pictures in a test archive (default: none)",
    )
    arguments = parser.parse_args(argv)
    if arguments.corpus is not None:
        _make_corpus(arguments)
    else:
        for path in make_dummy_data(arguments.out):
            print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
