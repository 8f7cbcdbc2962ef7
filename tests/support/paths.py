"""Where the checkout is that the tests belong to, and its folders."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
DUMMY_DATA = ROOT / "dummy_data"


def dummy_archives(dataset: str) -> Path:
    """The folder of `dummy_data` that a dataset is built from; a derived one has another's."""
    own = DUMMY_DATA / dataset
    return own if own.is_dir() else DUMMY_DATA / "imagenet2012"
