"""Lists of files are read however they were written, and what is no list is an error."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builders.errors import SourceError
from imagenet_builders.sources.file_lists import read_list


def is_image(name: str) -> bool:
    return name.endswith(".JPEG")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n01440764/a.JPEG\nn01443537/b.JPEG", [("n01440764", "a.JPEG"), ("n01443537", "b.JPEG")]),
        ("/data/imagenet/train/n01440764/a.JPEG\r\n", [("n01440764", "a.JPEG")]),
        ("\ufeff\n  ./val/a.JPEG  \n\n", [(None, "a.JPEG")]),
        ("a.JPEG", [(None, "a.JPEG")]),
        ('"/a dir/n01440764/a.JPEG"', [("n01440764", "a.JPEG")]),
        (".\n./n01440764\n./n01440764/a.JPEG", [("n01440764", "a.JPEG")]),
        (
            "train/:\nn01440764\n\ntrain/n01440764:\ntotal 4\na.JPEG\nb.JPEG\n",
            [("n01440764", "a.JPEG"), ("n01440764", "b.JPEG")],
        ),
    ],
)
def test_lines_of_all_forms_are_read(tmp_path: Path, text: str, found: list):
    path = tmp_path / "train_files.txt"
    path.write_bytes(text.encode())
    assert read_list(path, is_image) == found


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_give_a_list_or_the_one_error(data: bytes):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            found = read_list(Path(file.name), is_image)
        except SourceError:
            return
    assert found
    assert all(is_image(name) and "/" not in name for _, name in found)
