"""Every name beside a dataset that its builds use, and which of them may be removed.

A dataset is published under the name of its version, such as `5.1.0`. Its builds use, in the same
directory:

* `.5.1.0.lock`: the lock; `.5.1.0.lock.HOST-PID-TOKEN`: a file of each process that holds it or
  waits for it; `.5.1.0.lock.over-TOKEN`: the claim of a process that takes it over;
* `.5.1.0.building-TOKEN`: the incomplete dataset of the lock's holder with that token;
* `.5.1.0.exchange-TOKEN`: its jobs for workers on other machines;
* `.5.1.0.old-XXXXXXXX`: the dataset that was there, while another takes its name;
* `.5.1.0.removed-XXXXXXXX`: what version 0.3.0 was removing.

Only these names are ours to remove, and only by the process that holds the lock. TensorFlow
Datasets' own builds use `incomplete.XXXXXX_5.1.0`.
"""

from __future__ import annotations

import dataclasses
import glob
import re
from pathlib import Path

_TOKEN = "[0-9a-f]" * 16
_TAG = "[0-9a-f]" * 8

# Of a process, and the claim on a lock that has a token, or a number and a time.
_LOCK_FILE = re.compile(
    rf"[A-Za-z0-9._-]{{1,64}}-[0-9]{{1,10}}-{_TOKEN}|over-({_TOKEN}|[0-9]+--?[0-9]+)"
)


@dataclasses.dataclass(frozen=True)
class Target:
    """A dataset's directory, and the names beside it.

    Attributes:
        path: The directory of the version. It need not exist.
    """

    path: Path

    def through(self, above: int | None) -> Target:
        """It by way of a descriptor of the directory above, whatever has that one's name by now.

        Args:
            above: The descriptor; its number is part of the paths, as long as it is open.
        """
        place = Path(f"/proc/self/fd/{above}")
        if above is None or not place.exists():
            return self
        return Target(place / self.path.name)

    def lock(self) -> Path:
        """The lock."""
        return self._named("lock")

    def lock_file(self, host: str, pid: int, token: str) -> Path:
        """The file of a process that wants or has the lock."""
        return self._named(f"lock.{host}-{pid}-{token}")

    def lock_claim(self, token: str) -> Path:
        """The claim of a process that takes over the lock that has this token."""
        return self._named(f"lock.over-{token}")

    def lock_files(self) -> list[Path]:
        """The files of all processes that want the lock or have it, and their claims."""
        # Others may give names such as these to any number of files, which take time to open.
        beginning = len(self.lock().name) + 1
        return [
            path for path in self._found("lock.*") if _LOCK_FILE.fullmatch(path.name[beginning:])
        ]

    def incomplete(self, token: str) -> Path:
        """Where the holder of the lock puts the dataset together."""
        # Absolute, because a worker on another machine is in another directory.
        return self._named(f"building-{token}").absolute()

    def incompletes(self) -> list[Path]:
        """The incomplete datasets of all builds, in order."""
        return self._found(f"building-{_TOKEN}")

    def job_dir(self, token: str) -> Path:
        """Where the holder of the lock and its workers on other machines exchange jobs."""
        return self._named(f"exchange-{token}")

    def job_dirs(self) -> list[Path]:
        """The directories of jobs of all builds."""
        return self._found(f"exchange-{_TOKEN}")

    def old(self, tag: str) -> Path:
        """A name for the dataset that was there; see `olds`."""
        return self._named(f"old-{tag}")

    def olds(self) -> list[Path]:
        """Datasets that were there when another was about to take their name."""
        return self._found(f"old-{_TAG}")

    def removed(self) -> list[Path]:
        """What version 0.3.0 was removing."""
        return self._found(f"removed-{_TAG}")

    def all_ours(self) -> list[Path]:
        """Everything beside the dataset that its builds have left or are using."""
        return self._found("*")

    def stock_incompletes(self) -> list[Path]:
        """The incomplete datasets of TensorFlow Datasets' own builds."""
        # Source: `_get_incomplete_dir` in TensorFlow Datasets' core/utils/file_utils.py.
        return sorted(self.path.parent.glob(f"incomplete.{'[A-Z0-9]' * 6}_{self._pattern}"))

    def _named(self, what: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{what}")

    def _found(self, pattern: str) -> list[Path]:
        return sorted(self.path.parent.glob(f".{self._pattern}.{pattern}"))

    @property
    def _pattern(self) -> str:
        """The name, which may be any where it is that of an export, as a pattern has it."""
        return glob.escape(self.path.name)


def owner_of(lock_file: Path) -> tuple[str, int] | None:
    """Host and process that a lock file is named for; None for the lock and for claims."""
    owner = re.fullmatch(rf".*\.(.+)-([0-9]+)-{_TOKEN}", lock_file.name)
    return (owner[1], int(owner[2])) if owner else None
