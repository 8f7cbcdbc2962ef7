"""Tar writing that gives the same bytes on every machine and in every year.

Owner, mode and time of every member are fixed, so that a regenerated archive can be compared with
the committed one by its hash. End-of-archive blocks and the padding to 10,240 bytes are tarfile's,
which are GNU tar's.
"""

import contextlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

Target = str | os.PathLike[str] | IO[bytes]
"""Where an archive goes: a path (its folder is made if need be) or an open binary file."""

Member = tuple[str | tarfile.TarInfo, bytes]
"""A member's name, or a whole header for the odd ones (links, devices), and its bytes."""

MTIME = 1339718400  # 2012-06-15 00:00 UTC, about when the real archives were packed.
_OWNER = 1000


def header(name: str, size: int = 0, *, directory: bool = False) -> tarfile.TarInfo:
    """Returns the header of a plain file (mode 0644) or a directory (mode 0755)."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mtime = MTIME
    info.uid = info.gid = _OWNER
    info.mode = 0o644
    if directory:
        info.type = tarfile.DIRTYPE
        info.mode = 0o755
    return info


@contextlib.contextmanager
def open_tar(target: Target, *, tar_format: int = tarfile.GNU_FORMAT) -> Iterator[tarfile.TarFile]:
    """Opens an archive for writing; a file object given by the caller stays open."""
    with contextlib.ExitStack() as stack:
        if isinstance(target, (str, os.PathLike)):
            path = Path(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            target = stack.enter_context(open(path, "wb"))
        yield stack.enter_context(tarfile.TarFile(fileobj=target, mode="w", format=tar_format))


def add(archive: tarfile.TarFile, name: str | tarfile.TarInfo, data: bytes) -> None:
    """Adds one member.

    Args:
      archive: an archive from `open_tar`.
      name: the member's name, used as it is (so a test can write `../x` or `/x`), or a header of
        the caller's own. The size of a header for a plain file is set from `data`.
      data: the member's bytes; ignored for links and the like, which have none.
    """
    info = name if isinstance(name, tarfile.TarInfo) else header(name)
    if info.isreg():
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    else:
        archive.addfile(info)


def write_tar(
    target: Target,
    members: Iterable[Member],
    *,
    tar_format: int = tarfile.GNU_FORMAT,
    dirs: Iterable[str] = (),
) -> None:
    """Writes an uncompressed archive with the given members in the given order.

    Args:
      target: a path or an open binary file.
      members: names (or headers) and bytes; consumed one by one, never held together.
      tar_format: `tarfile.GNU_FORMAT`, `USTAR_FORMAT` or `PAX_FORMAT`.
      dirs: names of directory entries, written before the members.
    """
    with open_tar(target, tar_format=tar_format) as archive:
        for folder in dirs:
            archive.addfile(header(folder, directory=True))
        for name, data in members:
            add(archive, name, data)


def tar_bytes(members: Iterable[Member], *, tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    """Returns a whole archive as bytes, for a tar within a tar."""
    buffer = io.BytesIO()
    write_tar(buffer, members, tar_format=tar_format)
    return buffer.getvalue()
