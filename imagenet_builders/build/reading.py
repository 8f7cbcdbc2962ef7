"""The part of a builder that concerns a dataset which is there: what it says, and its reading."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from imagenet_builders.errors import OptionError
from imagenet_builders.options import BuildOptions
from imagenet_builders.publish import default_config
from imagenet_builders.publish.access import Access
from imagenet_builders.publish.published import warn_of_a_part


class ReadingBuilder(  # type: ignore[call-arg]  # TensorFlow Datasets has no types.
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A builder that reads what was built, and says what cannot be built."""

    def dataset_info_from_configs(self, **kwargs: Any) -> tfds.core.DatasetInfo:
        """As in TensorFlow Datasets, which would look for more in a bucket, in a new directory."""
        info = super().dataset_info_from_configs(**kwargs)
        info.initialize_from_bucket = lambda: None
        return info

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
        warn_of_a_part(Path(self.data_dir))
        return super().as_dataset(*args, **kwargs)

    def as_data_source(self, *args: Any, **kwargs: Any) -> Any:
        """As in TensorFlow Datasets; warns of a dataset that is only a part, built to try."""
        warn_of_a_part(Path(self.data_dir))
        return super().as_data_source(*args, **kwargs)
