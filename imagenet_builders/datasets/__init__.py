"""The datasets: one folder each, in TensorFlow Datasets' dataset-as-folder form."""

BUILDER_MODULES: dict[str, str] = {
    "imagenet2012": "imagenet_builders.datasets.imagenet2012.imagenet2012_dataset_builder",
    "imagenet2012_dogs": (
        "imagenet_builders.datasets.imagenet2012_dogs.imagenet2012_dogs_dataset_builder"
    ),
    "imagenet2012_downsampled": (
        "imagenet_builders.datasets.imagenet2012_downsampled"
        ".imagenet2012_downsampled_dataset_builder"
    ),
    "imagenet2012_localization": (
        "imagenet_builders.datasets.imagenet2012_localization"
        ".imagenet2012_localization_dataset_builder"
    ),
    "imagenet21k_winter21": (
        "imagenet_builders.datasets.imagenet21k_winter21.imagenet21k_winter21_dataset_builder"
    ),
    "tiny_imagenet": "imagenet_builders.datasets.tiny_imagenet.tiny_imagenet_dataset_builder",
}
"""Where the builder class of each dataset is; importing one imports TensorFlow Datasets."""

SURVEYS: dict[str, str] = {
    name: f"imagenet_builders.datasets.{name}.staged:survey" for name in BUILDER_MODULES
}
"""What looks at what is staged of each dataset, as `module:function`; it needs no TensorFlow.

`survey(manual_dir: Path, config: str | None = None) -> Survey` raises StagingError only where
`manual_dir` is not a directory; where nothing is staged, `Survey.found` is empty. `config` is one
of the dataset's configurations; None is the first of them.
"""
