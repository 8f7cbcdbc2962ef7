r"""The path of a member in an archive, whatever system's tools wrote it.

>>> parts("train\\n01440764\\n01440764_18.JPEG")
['train', 'n01440764', 'n01440764_18.JPEG']
"""

from __future__ import annotations


def portable(name: str) -> str:
    """A name with `/` between directories, where Windows' tools write a backslash."""
    return name.replace("\\", "/")


def parts(name: str) -> list[str]:
    """The directories of a member and its own name.

    Raises:
        ValueError: It leads out of the archive, or there is no name; the message says so.
    """
    found = portable(name).split("/")
    if not name or not found[0] or ".." in found or "\0" in name or name[1:2] == ":":
        raise ValueError("a path that leads out of the archive, or none at all")
    return found
