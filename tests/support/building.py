"""What several test modules need: builds, what is in them, and other Python processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.paths import ROOT
from support.processes import run_cli

DUMMY_ARCHIVES = ROOT / "dummy_data" / "imagenet2012"


def build(
    builder_class: type,
    manual_dir: Path,
    data_dir: Path,
    *,
    file_format: str = "tfrecord",
    builder_options: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Builds with any builder class; `config` goes to DownloadConfig. Returns the directory."""
    import tensorflow_datasets as tfds

    builder = builder_class(data_dir=data_dir, **(builder_options or {}))
    builder.download_and_prepare(
        file_format=file_format,
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **config),
    )
    return Path(builder.data_dir)


def built_by_cli(manual_dir: Path, data_dir: Path, *arguments: str | Path, **changes: str) -> Path:
    """Builds imagenet2012 with the command line. Returns the directory that it printed."""
    done = run_cli(
        "build",
        "imagenet2012",
        f"--manual-dir={manual_dir}",
        f"--data-dir={data_dir}",
        *arguments,
        check=True,
        **changes,
    )
    return Path(done.stdout.splitlines()[-1])
