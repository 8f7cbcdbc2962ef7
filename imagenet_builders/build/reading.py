"""The part of a builder that concerns a dataset which is there: what it says, and its reading."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from imagenet_builders.build import read_only
from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions
from imagenet_builders.publish import default_config, readable
from imagenet_builders.publish.access import Access
from imagenet_builders.publish.published import warn_of_a_part


class ReadingBuilder(  # type: ignore[call-arg]  # TensorFlow Datasets has no types.
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A builder that reads what was built, and says what cannot be built."""

    def __init__(self, *, file_format: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        # `tfds.data_source` asks for array_record where only TFDS_DATA_DIR is set, whatever is
        # there. What is there is read as it is; to build, another format is asked for again.
        if file_format is not None and not self.info._fully_initialized:
            self.info.set_file_format(file_format, override=True)

    def dataset_info_from_configs(self, **kwargs: Any) -> tfds.core.DatasetInfo:
        """As in TensorFlow Datasets, which would look for more in a bucket, in a new directory."""
        info = super().dataset_info_from_configs(**kwargs)
        info.initialize_from_bucket = lambda: None
        read = info.read_from_directory
        info.read_from_directory = lambda directory: readable.reading(
            Path(directory), functools.partial(read, directory)
        )
        return info

    def _build_data_dir(self, given_data_dir: str | None) -> tuple[str, str]:
        """As in TensorFlow Datasets, which then looks once whether the dataset is there."""
        root, directory = super()._build_data_dir(given_data_dir)
        readable.wait_for_exchange(Path(directory))
        return root, directory

    def _check_version(self) -> None:
        """Only the newest version can be built; older ones can be read."""
        if str(self.version) not in {str(self.canonical_version), str(max(self.versions))}:
            raise OptionError(
                f"{self.info.full_name} is an old version: it can be read where it was built, but "
                f"only {self.canonical_version} can be built"
            )

    def _name_default_config(self, path: Path, options: BuildOptions) -> None:
        """Sees to it that readers without this package know what the bare name means."""
        config = self.get_default_builder_config()
        if config is not None:
            default_config.ensure(path, config.name, self.builder_configs, Access.of(options))

    def _restore(self, target: Path) -> None:
        """Takes over what the published dataset says of itself."""
        self.info.read_from_directory(os.fspath(target))

    def as_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """As in TensorFlow Datasets; warns of a dataset that is only a part, built to try."""
        self._look()
        return super().as_dataset(*args, **kwargs)

    def as_data_source(self, split: Any = None, **kwargs: Any) -> Any:
        """As in TensorFlow Datasets, of every output that can be read in any order.

        TensorFlow Datasets reads only some of them so. It would change what the builder says of its
        files, after which `as_dataset` fails; here nothing changes.
        """
        self._look()
        asked = kwargs.pop("file_format", None)
        found = read_only.data_source_of(self, split, asked, **kwargs)
        if found is not None:
            return found
        return super().as_data_source(split, file_format=asked, **kwargs)

    def _look(self) -> None:
        """Makes sure that a dataset which is there can be read, and warns if it is a part."""
        directory = Path(self.data_dir)
        readable.wait_for_exchange(directory)
        if readable.is_there(directory):
            readable.check(directory)
        warn_of_a_part(directory)
