"""What the directory of a zip archive shows, whatever is in the archive."""

from __future__ import annotations

from pathlib import Path

from imagenet_builders.errors import ArchiveError
from imagenet_builders.formats import zip_directory
from imagenet_builders.sources.inspection import Wrong

_EXPECTED = "expected a zip archive, found "


def inspect(path: Path, fd: int, size: int) -> tuple[Wrong | None, tuple[str, ...] | None]:
    """What is wrong with the directory of an archive, and the names in it; see `Kind.inspect`."""
    if not size:
        return Wrong(
            "a zip archive with its directory at the end",
            "0 bytes",
            "a download or copy that failed at its beginning, or ran out of quota",
            "copy it again",
        ), None
    place = zip_directory.Place(fd, str(path), 0, None, None)
    try:
        entries = zip_directory.read_directory(place, *zip_directory.find_directory(place))
    except zip_directory.NotReadError as error:
        found, _, action = error.problem.removeprefix(_EXPECTED).partition("; ")
        of_member = f" (member {error.member!r})" if error.member else ""
        expected = "a zip archive of plain files, stored or deflated"
        return Wrong(expected, found + of_member, "", action or "check where it comes from"), None
    except ArchiveError as error:
        # The advice is said by the report, in its own place.
        what = error.problem.removeprefix(_EXPECTED).removesuffix(zip_directory.COPY_AGAIN)
        at = f", at byte {error.offset:,}" if error.offset else ""
        return Wrong(
            "a zip archive with its directory at the end",
            f"{what.rstrip(' ,;')}{at}",
            "the copy was cut off, is not done yet, or was damaged",
        ), None
    return None, tuple(entry.filename for entry in entries)
