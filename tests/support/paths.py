"""Where the checkout is that the tests belong to, and its folders."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
DUMMY_DATA = ROOT / "dummy_data"
