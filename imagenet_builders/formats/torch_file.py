"""Files that `torch.load` reads, written without PyTorch: plain values, no tensors.

Such a file is a zip of a pickle and a few notes. The pickle here holds tuples, lists, dictionaries,
texts and whole numbers alone, so `torch.load(weights_only=True)` takes it. It is written, not read:
this package reads no pickle.

Source: `serialization.py` (`_save`) and `caffe2/serialize/inline_container.h` of PyTorch 2.14.
"""

from __future__ import annotations

import io
import pickle
import zipfile

# What `torch.save` calls the directory in the zip where it writes to no file.
_DIRECTORY = "archive"

# The versions of the pickle and of the zip's content.
_PICKLE_PROTOCOL, _VERSION = 2, "3"

# The first time that a zip can say.
_TIME = (1980, 1, 1, 0, 0, 0)

_ALIGNMENT = 64
_HEADER_BYTES = 30


def torch_file(value: object) -> bytes:
    """The file of a value.

    The same value gives the same bytes.

    Args:
        value: What `torch.load` will return, of the types above.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in (
            ("data.pkl", _pickle(value)),
            (".format_version", b"1"),
            ("byteorder", b"little"),
            ("version", f"{_VERSION}\n".encode()),
        ):
            entry = zipfile.ZipInfo(f"{_DIRECTORY}/{name}", _TIME)
            entry.extra = _padding(buffer.tell() + _HEADER_BYTES + len(entry.filename))
            file.writestr(entry, content)
    return buffer.getvalue()


def _pickle(value: object) -> bytes:
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, _PICKLE_PROTOCOL)
    # Without it, equal texts would give other bytes where they are one object.
    pickler.fast = True
    pickler.dump(value)
    return buffer.getvalue()


def _padding(at: int) -> bytes:
    """The extra field "FB" with which PyTorch aligns what follows it."""
    size = (_ALIGNMENT - (at + 4) % _ALIGNMENT) % _ALIGNMENT
    return b"FB" + size.to_bytes(2, "little") + b"Z" * size
