"""Archives of a whole tree of folders, of which one folder has a part of ILSVRC2012."""

from __future__ import annotations

from imagenet_builders.formats import member_names
from imagenet_builders.locate.listing import WNID


def path_inside(path: str, inside: str) -> str:
    """The path of a member below a folder of an archive; empty if it lies elsewhere.

    Args:
        path: Path of the member in the archive.
        inside: Path of the folder. Other folders may be above it.

    >>> path_inside("./ILSVRC/Data/CLS-LOC/val/a.JPEG", "Data/CLS-LOC/val")
    'a.JPEG'
    """
    return f"/{member_names.portable(path)}".partition(f"/{inside}/")[2]


def class_folder(path: str) -> str | None:
    """The wnid that is the name of a member's folder, or None.

    >>> class_folder("train/n01440764/n01440764_1.JPEG")
    'n01440764'
    """
    folder = member_names.portable(path).rpartition("/")[0].rpartition("/")[2]
    return folder if WNID.fullmatch(folder) else None
