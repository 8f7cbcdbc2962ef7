"""Generates the data files that come from public Python packages; see README.md beside it.

    pip download --no-deps timm==1.0.31 tensorflow-datasets==4.9.10
    python -m imagenet_builders.labels._generate timm-*.whl tensorflow_datasets-*.whl

The other files are lists made by hand; README.md has their sources.
"""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from pathlib import Path

from imagenet_builders.labels.spaces import HERE, SPACES, space


def _read(wheel: Path, member: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member).decode("ascii")


def _from_tfds(wheel: Path) -> None:
    import numpy as np

    folder = "tensorflow_datasets/datasets/imagenet2012"
    classes = _read(wheel, f"{folder}/labels.txt").split()
    (HERE / "imagenet2012.txt").write_text("\n".join(classes) + "\n", encoding="ascii")

    ids = {wnid: label for label, wnid in enumerate(classes)}
    images = _read(wheel, f"{folder}/validation_labels.txt").split()
    buffer = io.BytesIO()
    np.save(buffer, np.array([ids[wnid] for wnid in images], dtype="<u2"), allow_pickle=False)
    (HERE / "imagenet2012_validation_labels.npy").write_bytes(buffer.getvalue())


def _from_timm(wheel: Path) -> None:
    folder = "timm/data/_info"
    for member, name in (
        ("imagenet21k_miil_w21_synsets", "imagenet21k_p"),
        ("imagenet12k_synsets", "imagenet12k"),
    ):
        classes = _read(wheel, f"{folder}/{member}.txt").split()
        (HERE / f"{name}.txt").write_text("\n".join(classes) + "\n", encoding="ascii")

    def column(name: str) -> dict[str, str]:
        lines = _read(wheel, f"{folder}/imagenet_synset_to_{name}.txt").splitlines()
        return dict(line.split("\t") for line in lines)

    words, glosses = column("lemma"), column("definition")
    known = sorted({wnid for name in SPACES for wnid in space(name).wnids})
    text = "".join(f"{wnid}\t{words[wnid]}\t{glosses[wnid]}\n" for wnid in known)
    packed = gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0)
    (HERE / "words_and_glosses.tsv.gz").write_bytes(packed)


def main(timm_wheel: str, tfds_wheel: str) -> None:
    """Writes the files beside this module.

    Args:
        timm_wheel: Path of timm's wheel.
        tfds_wheel: Path of TFDS's wheel.
    """
    _from_tfds(Path(tfds_wheel))
    _from_timm(Path(timm_wheel))


if __name__ == "__main__":
    main(*sys.argv[1:])
