"""Every name beside a dataset that its builds use, and which of them may be removed.

A dataset is published under the name of its version, such as `5.1.0`. Its builds use, in the same
directory:

* `.5.1.0.lock`: the lock; `.5.1.0.lock.HOST-PID-TOKEN`: a file of each process that holds it or
  waits for it; `.5.1.0.lock.over-TOKEN`: the claim of a process that takes it over;
* `.5.1.0.building-TOKEN`: the incomplete dataset of the lock's holder with that token;
* `.5.1.0.exchange-TOKEN`: its jobs for workers on other machines;
* `.5.1.0.old-XXXXXXXX`: the dataset that was there, while another takes its name;
* `.5.1.0.removed-XXXXXXXX`: what is being removed.

Only these names are ours to remove, and only by the process that holds the lock. TensorFlow
Datasets' own builds use `incomplete.XXXXXX_5.1.0`.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from pathlib import Path

_TOKEN = "[0-9a-f]" * 16
_TAG = "[0-9a-f]" * 8


@dataclasses.dataclass(frozen=True)
class Target:
    """A dataset's directory, and the names beside it.

    Attributes:
        path: The directory of the version. It need not exist.
    """

    path: Path

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
        return self._found("lock.*")

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

    def new_old(self) -> Path:
        """A new name for the dataset that was there; see `olds`."""
        return self._named(f"old-{secrets.token_hex(4)}")

    def olds(self) -> list[Path]:
        """Datasets that were there when another was about to take their name."""
        return self._found(f"old-{_TAG}")

    def new_removed(self) -> Path:
        """A new name for what is being removed, so that nobody takes half of it for all."""
        return self._named(f"removed-{secrets.token_hex(4)}")

    def removed(self) -> list[Path]:
        """What was being removed."""
        return self._found(f"removed-{_TAG}")

    def all_ours(self) -> list[Path]:
        """Everything beside the dataset that its builds have left or are using."""
        return self._found("*")

    def stock_incompletes(self) -> list[Path]:
        """The incomplete datasets of TensorFlow Datasets' own builds."""
        # Source: `_get_incomplete_dir` in TensorFlow Datasets' core/utils/file_utils.py.
        return sorted(self.path.parent.glob(f"incomplete.{'[A-Z0-9]' * 6}_{self.path.name}"))

    def _named(self, what: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{what}")

    def _found(self, pattern: str) -> list[Path]:
        return sorted(self.path.parent.glob(f".{self.path.name}.{pattern}"))


def owner_of(lock_file: Path) -> tuple[str, int] | None:
    """Host and process that a lock file is named for; None for the lock and for claims."""
    owner = re.fullmatch(rf".*\.(.+)-([0-9]+)-{_TOKEN}", lock_file.name)
    return (owner[1], int(owner[2])) if owner else None
