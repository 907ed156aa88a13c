"""The head of a safetensors file, judged before anything is allocated for its body.

Layout (safetensors README, "Format", https://github.com/huggingface/safetensors): 8 bytes, the little-endian
length of the header; the header, a JSON object from each name to ``{"dtype", "shape", "data_offsets"}``
and ``"__metadata__"`` to strings; the tensors' bytes, without holes. zoo reads a strict part of that: few
dtypes, plain names, and one metadata key. Everything here raises ``ValueError`` with a reason.
"""

from __future__ import annotations

import math
import re
from io import BufferedIOBase
from typing import Any, Final, NamedTuple

import numpy as np

from zoo.storage import strict_json
from zoo.storage.strict_json import quote

METADATA_KEY: Final = "zoo"
MAX_HEADER_BYTES: Final = 16 * 2**20
MAX_ARRAYS: Final = 65_536
MAX_DIMENSIONS: Final = 16

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "U8": np.dtype(np.uint8),
    "U64": np.dtype(np.uint64),
}
ALLOWED: Final = ", ".join(dtype.name for dtype in DTYPES.values())

# ``l0.Wxh``, ``adam/m``, ``state:l0.h``. A letter or digit first keeps ``__metadata__`` out.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}")
_INFO_KEYS = {"dtype", "shape", "data_offsets"}
_LENGTH_BYTES = 8


class Span(NamedTuple):
    """Byte range, dtype and shape of one array in a file.

    Attributes:
        begin: Its first byte.
        end: The byte after its last.
        name: Its name.
        dtype: Its dtype.
        shape: Its shape.
    """

    begin: int
    end: int
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def read_layout(file: BufferedIOBase, size: int) -> tuple[str, list[Span]]:
    """The ``zoo`` metadata string and the arrays of a safetensors file whose layout holds together.

    Args:
        file: The file, at its start. Only its header is read, so that the body comes next.
        size: Its size in bytes.

    Returns:
        The string, and the spans, which tile the body, in their order in the file.

    Raises:
        ValueError: The header is too long for the file or the bound, is no strict JSON, or describes tensors
            that the file cannot hold: too many, bad names, unknown dtypes, overlaps, holes, surplus bytes.
    """
    header, body_bytes = _header(file, size)
    metadata = header.pop("__metadata__", None)
    if len(header) > MAX_ARRAYS:
        raise ValueError(f"it holds {len(header):,} arrays; expected at most {MAX_ARRAYS:,}")
    spans = sorted((_span(name, info) for name, info in header.items()), key=lambda span: span[:3])
    _check_spans(spans, body_bytes)
    return _zoo_metadata(metadata), spans


def check_name(name: str) -> None:
    """Raise ``ValueError`` unless ``name`` may be the name of an array."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the array name {quote(name)} is not allowed: expected a letter or digit, "
            "then up to 199 letters, digits and the signs _ . : / -"
        )


def _header(file: BufferedIOBase, size: int) -> tuple[dict[str, object], int]:
    """The header as a dict, and how many bytes follow it."""
    if size < _LENGTH_BYTES:
        raise ValueError(f"it has {size} bytes, too few for a checkpoint (.safetensors)")
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(
            f"it is not a checkpoint (.safetensors): its first 8 bytes claim a header of {length:,} bytes; "
            f"expected at most {MAX_HEADER_BYTES:,}"
        )
    body_bytes = size - _LENGTH_BYTES - length
    if body_bytes < 0:
        raise ValueError(f"it is cut short: a header of {length:,} bytes in a file of {size:,}")
    return strict_json.loads_object(file.read(length)), body_bytes


def _span(name: str, info: object) -> Span:
    """The span of one array, in agreement with its dtype and shape."""
    check_name(name)
    if not isinstance(info, dict) or info.keys() != _INFO_KEYS:
        raise ValueError(f"the array {name!r} is not described by exactly dtype, shape and data_offsets")
    dtype = _dtype(name, info["dtype"])
    shape = _naturals(name, "shape", info["shape"])
    offsets = _naturals(name, "data_offsets", info["data_offsets"])
    if len(shape) > MAX_DIMENSIONS or math.prod(max(size, 1) for size in shape) * dtype.itemsize >= 2**63:
        raise ValueError(f"the shape of the array {name!r} is too large")
    needed = math.prod(shape) * dtype.itemsize
    if len(offsets) != 2 or offsets[1] - offsets[0] != needed:
        raise ValueError(f"the array {name!r} needs {needed:,} bytes, and its data_offsets give it others")
    return Span(offsets[0], offsets[1], name, dtype, tuple(shape))


def _dtype(name: str, code: object) -> np.dtype[Any]:
    dtype = DTYPES.get(code) if isinstance(code, str) else None
    if dtype is None:
        raise ValueError(f"the array {name!r} has an unknown dtype, expected one of {ALLOWED}")
    return dtype


def _naturals(name: str, key: str, value: object) -> list[int]:
    # Not isinstance: JSON's true is an int in Python.
    if not isinstance(value, list) or not all(type(item) is int and 0 <= item < 2**63 for item in value):
        raise ValueError(f"the {key} of the array {name!r} is not a list of natural numbers")
    return value


def _check_spans(spans: list[Span], body_bytes: int) -> None:
    """The sorted spans must tile the body: no overlap, no hole, nothing after the last."""
    position = 0
    for span in spans:
        if span.begin != position:
            kind = "overlaps another" if span.begin < position else "leaves a hole before it"
            raise ValueError(f"the array {span.name!r} {kind}")
        position = span.end
    if position != body_bytes:
        raise ValueError(f"{position:,} bytes of arrays are described and {body_bytes:,} are there")


def _zoo_metadata(metadata: object) -> str:
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        raise ValueError("it is not a zoo checkpoint (no 'zoo' metadata)")
    text = metadata[METADATA_KEY]
    if len(metadata) != 1 or not isinstance(text, str):
        raise ValueError("its metadata is not exactly one string 'zoo'")
    return text
