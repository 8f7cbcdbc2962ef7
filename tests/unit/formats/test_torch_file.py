"""Files for `torch.load`: what `weights_only=True` takes, and the same bytes each time."""

from __future__ import annotations

import io
import pickletools
import zipfile

from imagenet_builders.formats.torch_file import torch_file

WORDS = {"n01440764": ("tench", "Tinca tinca"), "n01443537": ("goldfish",)}
VALUE = (WORDS, ["n01443537", "n01440764"] * 800)

# Those of containers, texts and numbers; nothing that names a function or a class.
HARMLESS = {
    *("PROTO", "MARK", "STOP", "NONE", "BINUNICODE", "BININT", "BININT1", "BININT2"),
    *("EMPTY_DICT", "EMPTY_LIST", "SETITEM", "SETITEMS", "APPEND", "APPENDS"),
    *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
}


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def test_the_zip_is_laid_out_as_by_torch_save() -> None:
    data = torch_file(VALUE)
    found = members(data)
    assert found.pop("archive/data.pkl")
    assert found == {
        "archive/.format_version": b"1",
        "archive/byteorder": b"little",
        "archive/version": b"3\n",
    }
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for entry in file.infolist():
            name_bytes, extra_bytes = data[entry.header_offset + 26 :][:4:2]
            assert entry.compress_type == zipfile.ZIP_STORED
            assert (entry.header_offset + 30 + name_bytes + extra_bytes) % 64 == 0


def test_the_pickle_is_the_value_and_can_do_nothing() -> None:
    pickled = members(torch_file(VALUE))["archive/data.pkl"]
    found = list(pickletools.genops(pickled))
    assert {opcode.name for opcode, _, _ in found} <= HARMLESS
    texts = [argument for opcode, argument, _ in found if opcode.name == "BINUNICODE"]
    assert texts == ["n01440764", "tench", "Tinca tinca", "n01443537", "goldfish", *VALUE[1]]
    assert found[0][1] == 2


def test_equal_values_give_the_same_bytes() -> None:
    copy = (
        {"".join(wnid): tuple("".join(each) for each in words) for wnid, words in WORDS.items()},
        ["".join(list(wnid)) for wnid in VALUE[1]],
    )
    assert torch_file(copy) == torch_file(VALUE)
