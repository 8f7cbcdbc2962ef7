"""Offers the builders to TensorFlow Datasets, whichever package is imported first.

A class that registers itself under a name that TensorFlow Datasets knows breaks every dataset
derived from that name. A *provider*, which TensorFlow Datasets asks before its own registry,
replaces one name and leaves the others alone (`add_dataset_builder_provider`, since 4.9.7). It
needs `tensorflow_datasets.core.registered`. Importing that module would cost every user of this
package 0.6 s, so an import hook waits for it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from imagenet_builders import datasets

_REGISTRY_MODULE = "tensorflow_datasets.core.registered"


class _Provider:
    """The builders of this package, each imported on request."""

    @staticmethod
    def has_dataset(name: str) -> bool:
        """Whether `name` is one of ours."""
        return name in datasets.names()

    def get_builder_cls(self, name: str) -> type[Any]:
        """The builder class of `name`."""
        # Before `tfds.builder` makes a reader of the directory, which it does for a version.
        from imagenet_builders.build import read_only

        read_only.teach(self.has_dataset)
        return datasets.get(name).builder()


class _AfterImport(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Adds the provider to the registry module after its own loader has loaded it."""

    def __init__(self) -> None:
        self._loader: importlib.abc.Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answers for the registry module only, and only once."""
        if fullname != _REGISTRY_MODULE:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                self._loader = spec.loader
                spec.loader = self
                return spec
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Creates the module with its own loader."""
        assert self._loader is not None
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module with its own loader, then adds the provider."""
        assert self._loader is not None
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        try:
            self._loader.exec_module(module)
        except Exception as error:
            from imagenet_builders.build.installed import explained

            sys.meta_path.insert(0, self)  # For another attempt.
            raise explained(error) from error
        _add_provider(module)


def register() -> None:
    """Offers the builders to TensorFlow Datasets now, or as soon as it is imported."""
    registry = sys.modules.get(_REGISTRY_MODULE)
    if registry is not None:
        _add_provider(registry)
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


def _add_provider(registry: ModuleType) -> None:
    # TensorFlow Datasets' own list is right even if this package was imported anew.
    providers = registry._DATASET_PROVIDER_REGISTRY
    if not any(type(provider).__module__ == __name__ for provider in providers):
        registry.add_dataset_builder_provider(_Provider(), index=0)
