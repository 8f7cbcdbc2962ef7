"""The one family of errors that this package raises for its users.

Every message is one sentence that a data steward can act on: what was expected, what was found and
where (file, member, byte offset), and, where it is known, what to do about it. The command line
prints the sentence alone; the Python API and `tfds build` raise it with a traceback. Names and
contents of files are in it, so it is made printable once and for all.
"""

from __future__ import annotations

from imagenet_builders.words import printable


class ImagenetBuildersError(Exception):
    """Base of every error raised on purpose by this package.

    Args:
        args: The sentence; what of it does not show, or acts on a terminal, becomes escapes.
    """

    def __init__(self, *args: object):
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))

    def add_note(self, note: str) -> None:
        """Adds a sentence that is told with the error, in the same way."""
        super().add_note(printable(note))


class OptionError(ImagenetBuildersError, ValueError):
    """An option has a value that cannot be used; raised before any work starts."""


class InstallationError(ImagenetBuildersError, ImportError):
    """A package that is needed cannot be imported; the message says which is in the way."""


class LabelError(ImagenetBuildersError, ValueError):
    """A class space, wnid or label that there is not; the message names it and what there is."""


class StagingError(ImagenetBuildersError, FileNotFoundError):
    """What a dataset needs is not staged under `manual_dir`."""

    # FileNotFoundError formats its arguments in its own way; the sentence is all there is to say.
    def __str__(self) -> str:
        return str(self.args[0])


class OtherDatasetError(StagingError):
    """What is staged is another dataset than the one that is to be built."""


class SourceError(ImagenetBuildersError):
    """A staged archive, folder or file is damaged, odd, or has changed while it was read."""


class ArchiveError(SourceError):
    """An archive cannot be read as what it claims to be.

    Attributes:
        archive: Path of the archive file on disk.
        problem: What is wrong, without the place.
        member: Name of the member concerned; a member of an inner archive is written
            `n01440764.tar/n01440764_1.JPEG`. None when no member is concerned.
        offset: Byte offset in `archive` at which the problem was met, or None.
    """

    def __init__(
        self, archive: str, problem: str, *, member: str | None = None, offset: int | None = None
    ):
        self.archive = archive
        self.problem = problem
        self.member = member
        self.offset = offset
        where = archive
        if member is not None:
            where += f", member {member!r}"
        if offset is not None:
            where += f", at byte {offset:,}"
        super().__init__(f"{where}: {problem}")

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel from worker processes; keyword-only arguments need help to be pickled.
        return (
            _rebuild_archive_error,
            (type(self), self.archive, self.problem, self.member, self.offset),
        )


class BadImageError(ArchiveError):
    """The bytes of one image are not a whole image of a kind that can be stored.

    `member` is the image's own name, `offset` where its bytes begin in the archive or file.
    """


class TargetError(ImagenetBuildersError):
    """A dataset cannot be written: no space, no permission, an error of the file system, ..."""


class DatasetError(ImagenetBuildersError):
    """A dataset that is built cannot be read: a file of it is none, or may not be read, ..."""


class BusyError(ImagenetBuildersError):
    """Another process builds the same dataset at this moment."""


class WorkerError(ImagenetBuildersError):
    """A worker process ended without a result (killed, out of memory, ...)."""


def _rebuild_archive_error(
    kind: type[ArchiveError], archive: str, problem: str, member: str | None, offset: int | None
) -> ArchiveError:
    return kind(archive, problem, member=member, offset=offset)
