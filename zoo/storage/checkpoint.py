"""Checkpoints: named arrays and a JSON value in one safetensors file with a checksum.

The header is validated before any memory for the body is allocated. Layout (safetensors README, "Format",
https://github.com/huggingface/safetensors): 8 bytes, the little-endian length of the header; the header, a
JSON object from each name to ``{"dtype", "shape", "data_offsets"}`` and ``"__metadata__"`` to strings; the
bytes of the tensors, without holes. zoo reads a strict subset: few dtypes, plain names, and one metadata key,
``zoo``, with one sorted JSON text ``{"format": 1, "meta": ..., "sha256": ...}``. One key, because safetensors
writes several in random order: so the same checkpoint is the same bytes in every process. The readers of the
header raise ``ValueError`` with a reason.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from typing import Any, Final, NamedTuple, TypeGuard

import numpy as np
import safetensors.numpy

from zoo.arguments import short_repr
from zoo.array_types import Array
from zoo.errors import CheckpointError
from zoo.field_repr import one_line_repr
from zoo.storage import strict_json
from zoo.storage.atomic import write_bytes
from zoo.storage.safe_read import StrPath, opened
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


class TensorRange(NamedTuple):
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


def read_layout(file: BufferedIOBase, size: int) -> tuple[str, list[TensorRange]]:
    """Read and validate the header of a safetensors file.

    Args:
        file: The file, at its start. Only its header is read, so the body comes next.
        size: Its size in bytes.

    Returns:
        The ``zoo`` metadata string, and the ranges, which tile the body, in their order in the file.

    Raises:
        ValueError: The header is too long for the file or the bound, is not strict JSON, or describes invalid
            tensors: too many, bad names, unknown dtypes, overlaps, holes, surplus bytes.
    """
    header, body_bytes = _header(file, size)
    metadata = header.pop("__metadata__", None)
    if len(header) > MAX_ARRAYS:
        raise ValueError(f"it holds {len(header):,} arrays; expected at most {MAX_ARRAYS:,}")
    ranges = sorted(
        (_tensor_range(name, info) for name, info in header.items()), key=lambda tensor: tensor[:3]
    )
    _check_ranges(ranges, body_bytes)
    return _zoo_metadata(metadata), ranges


def check_name(name: str) -> None:
    """Raise ``ValueError`` unless ``name`` is a valid array name."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the array name {quote(name)} is not allowed: expected a letter or digit, "
            "then up to 199 letters, digits and the signs _ . : / -"
        )


_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, as PyTorch (.pt) and NumPy (.npz) write; convert weights of PyTorch with "
    "zoo.convert.from_torch(cell, torch.load(path)), or give arrays by name to fill(np.load(path))",
    b"\x93NUMPY": "an array of NumPy (.npy); give it by name to fill({name: np.load(path)})",
    b"\x89HDF": "an HDF5 file; convert weights of Keras with zoo.convert.from_keras",
}
"""First bytes of files of other formats, which would be lengths above the limit."""


def _header(file: BufferedIOBase, size: int) -> tuple[dict[str, object], int]:
    """Return the header as a dict and the number of bytes after it."""
    if size < _LENGTH_BYTES:
        raise ValueError(f"it has {size} bytes, too few for a checkpoint (.safetensors)")
    start = file.read(_LENGTH_BYTES)
    if other := next((text for signature, text in _OTHER_FORMATS.items() if start.startswith(signature)), ""):
        raise ValueError(f"it is not a checkpoint (.safetensors) but {other}")
    if _is_text(start):
        raise ValueError(
            "it is a text and not a checkpoint (.safetensors); give the directory of a run, or a "
            ".safetensors file that zoo has written"
        )
    length = int.from_bytes(start, "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(
            f"it is not a checkpoint (.safetensors): its first 8 bytes claim a header of {length:,} bytes; "
            f"expected at most {MAX_HEADER_BYTES:,}"
        )
    body_bytes = size - _LENGTH_BYTES - length
    if body_bytes < 0:
        raise ValueError(f"it is cut short: a header of {length:,} bytes in a file of {size:,}")
    return strict_json.loads_object(file.read(length)), body_bytes


def _is_text(beginning: bytes) -> bool:
    """Whether bytes begin a text of UTF-8 without control characters; a valid length ends with zeros."""
    text = beginning.decode("utf-8", "ignore")
    has_controls = any(not character.isprintable() and not character.isspace() for character in text)
    return bool(text) and not has_controls and len(text.encode()) > len(beginning) - _LONGEST_CHARACTER


_LONGEST_CHARACTER = 4
"""Bytes of a character, the last of which may be cut."""


def _tensor_range(name: str, info: object) -> TensorRange:
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
    return TensorRange(offsets[0], offsets[1], name, dtype, tuple(shape))


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


def _check_ranges(ranges: list[TensorRange], body_bytes: int) -> None:
    """Check that the sorted ranges tile the body: no overlap, no hole, nothing after the last."""
    position = 0
    for tensor in ranges:
        if tensor.begin != position:
            kind = "overlaps another" if tensor.begin < position else "leaves a hole before it"
            raise ValueError(f"the array {tensor.name!r} {kind}")
        position = tensor.end
    if position != body_bytes:
        raise ValueError(f"{position:,} bytes of arrays are described and {body_bytes:,} are there")


def _zoo_metadata(metadata: object) -> str:
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        raise ValueError("it is not a zoo checkpoint (no 'zoo' metadata)")
    text = metadata[METADATA_KEY]
    if len(metadata) != 1 or not isinstance(text, str):
        raise ValueError("its metadata is not exactly one string 'zoo'")
    return text


FORMAT: Final = 1

MAX_BYTES: Final = 8 * 2**30

_SHA256 = re.compile(r"[0-9a-f]{64}")


@one_line_repr
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        arrays: Name to array. Names: letters, digits and ``_ . : / -``, at most 200. Dtypes: float32,
            float64, int32, int64, uint8, uint64. Any shape, ``()`` and empty ones included; any memory order.
        meta: JSON values, not interpreted here. Finite numbers only (write infinity as a
            string or None); a tuple comes back as a list.
    """

    arrays: dict[str, Array]
    meta: dict[str, object]


def digest(checkpoint: Checkpoint) -> str:
    """sha256 (64 hex digits) of the content: meta, then name, dtype, shape and bytes of each array by name.

    Raises:
        CheckpointError: The content is not one that `pack` would take.
    """
    try:
        return _digest(_sorted_contiguous(checkpoint.arrays), checkpoint.meta)
    except ValueError as error:
        raise _cannot_store(error) from error


def is_digest(text: object) -> TypeGuard[str]:
    """Whether something that a file holds is a sha256 in 64 hexadecimal digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def pack(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint file; equal checkpoints give equal bytes, whatever the arrays' memory order.

    Raises:
        CheckpointError: A name, a dtype or a meta value cannot be stored, or the header would be too large.
    """
    return _pack(checkpoint)[0]


def unpack(data: bytes, *, source: str) -> Checkpoint:
    """Decode and verify a checkpoint.

    Args:
        data: The content of a file. It may be hostile: sizes are bounded before anything is allocated.
        source: Where the bytes are from, for messages.

    Returns:
        The checkpoint; its arrays own writable, C-contiguous memory.

    Raises:
        CheckpointError: The bytes are damaged, foreign, or made by a newer zoo. No other error is raised.
    """
    return _read(BytesIO(data), len(data), source)


def save(path: StrPath, checkpoint: Checkpoint) -> str:
    """Write a checkpoint file atomically, and verify it.

    Returns:
        The `digest` of the content.

    Raises:
        CheckpointError: As `pack` and `write_bytes`; what was at ``path`` before is then untouched.
    """
    data, sha256 = _pack(checkpoint)
    write_bytes(path, data)
    return sha256


def load(path: StrPath, *, max_bytes: int = MAX_BYTES) -> Checkpoint:
    """Read a checkpoint file of at most ``max_bytes`` bytes.

    Its header, of 16 MiB at most, is validated first: memory for arrays is only allocated when they are as
    large as the file itself.

    Raises:
        CheckpointError: Missing, unreadable, too large, or as `unpack`.
    """
    with opened(path, max_bytes=max_bytes) as (file, size):
        return _read(file, size, str(path))


def expect(
    checkpoint: Checkpoint, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]], *, source: str
) -> None:
    """Check that a checkpoint holds exactly the arrays of ``shapes`` (name to shape and dtype), all finite.

    Raises:
        CheckpointError: An array is missing, surplus, of another shape or dtype, or holds NaN or infinity; it
            names the first one by name.
    """
    for name in sorted(shapes.keys() | checkpoint.arrays.keys()):
        actual = _describe(checkpoint.arrays.get(name))
        expected = (
            f"{np.dtype(shapes[name][1]).name} {tuple(shapes[name][0])}"
            if name in shapes
            else "no such array"
        )
        if actual != expected:
            raise CheckpointError(
                f"{source} does not fit this model: array {name!r}: found {actual}, expected {expected}. "
                "Load it with the configuration it was made with."
            )
        _check_finite(checkpoint.arrays[name], name, source)


def _pack(checkpoint: Checkpoint) -> tuple[bytes, str]:
    try:
        arrays = _sorted_contiguous(checkpoint.arrays)
        sha256 = _digest(arrays, checkpoint.meta)
        envelope = {"format": FORMAT, "meta": checkpoint.meta, "sha256": sha256}
        data = safetensors.numpy.save(arrays, metadata={METADATA_KEY: strict_json.dumps(envelope)})
        # Arrays that the serializer corrupts (0.8.0 did) are detected here and not on resume, and nothing is
        # written that `unpack` would reject as too large.
        _unpack(BytesIO(data), len(data))
    except (ValueError, safetensors.SafetensorError) as error:
        raise _cannot_store(error) from error
    return data, sha256


def _read(file: BufferedIOBase, size: int, source: str) -> Checkpoint:
    """Decode an open file; raises `CheckpointError`."""
    try:
        return _unpack(file, size)
    except ValueError as error:
        raise CheckpointError(f"cannot load {source}: {error}.") from error
    except MemoryError:
        raise CheckpointError(f"cannot load {source}: its {size:,} bytes do not fit into memory.") from None


def _unpack(file: BufferedIOBase, size: int) -> Checkpoint:
    text, ranges = read_layout(file, size)
    meta, sha256 = _open_envelope(text)
    arrays = dict(sorted((tensor.name, _read_array(file, tensor)) for tensor in ranges))
    if _digest(arrays, meta) != sha256:
        raise ValueError("it is damaged (its sha256 does not match its content)")
    return Checkpoint(arrays, meta)


def _read_array(file: BufferedIOBase, tensor: TensorRange) -> Array:
    """Read the next array of a file into its own memory; a copy would take twice as much."""
    array = np.empty(tensor.shape, tensor.dtype.newbyteorder("<"))
    if file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
        raise ValueError("it was cut short while it was read")
    return array.astype(tensor.dtype, copy=False)


def _open_envelope(text: str) -> tuple[dict[str, object], object]:
    """Return meta and sha256 of the ``zoo`` text. The format is checked first, since it defines the rest."""
    envelope = strict_json.loads_object(text.encode("utf-8", "surrogatepass"))
    version = envelope.get("format")
    if type(version) is not int or version < 1:
        raise ValueError("its checkpoint format is not a number")
    if version > FORMAT:
        raise ValueError(
            f"it was made by a newer zoo (checkpoint format {short_repr(version)}, here {FORMAT}); update zoo"
        )
    meta = envelope.get("meta")
    if not isinstance(meta, dict) or envelope.keys() != {"format", "meta", "sha256"}:
        raise ValueError("its 'zoo' metadata is not exactly format, meta and sha256")
    return meta, envelope["sha256"]


def _sorted_contiguous(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Sort by name and make C-contiguous: safetensors 0.8.0 corrupts other arrays (its issue 825)."""
    return {name: _contiguous(name, arrays[name]) for name in sorted(arrays)}


def _contiguous(name: str, array: object) -> Array:
    check_name(name)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"the array {name!r} has the type {type(array).__name__}; expected a NumPy array")
    if array.dtype not in DTYPES.values():
        raise ValueError(f"the array {name!r} has dtype {array.dtype}, expected one of {ALLOWED}")
    contiguous = np.asarray(array, order="C")  # np.ascontiguousarray would make a 0-d array 1-d
    assert contiguous.flags.c_contiguous
    assert contiguous.shape == array.shape
    return contiguous


def _digest(arrays: Mapping[str, Array], meta: dict[str, object]) -> str:
    # Each text ends where its JSON ends and gives the number of bytes that follow, so two different contents
    # never share a stream.
    stream = hashlib.sha256(strict_json.dumps(meta, where="meta").encode())
    for name, array in arrays.items():
        stream.update(strict_json.dumps([name, array.dtype.name, array.shape]).encode())
        little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
        stream.update(little_endian.reshape(-1).view(np.uint8).data)
    return stream.hexdigest()


def _describe(array: Array | None) -> str:
    return "no such array" if array is None else f"{array.dtype.name} {array.shape}"


def _check_finite(array: Array, name: str, source: str) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.size(array) - np.count_nonzero(np.isfinite(array)))
        raise CheckpointError(
            f"{source}: array {name!r}: found {bad} values that are NaN or infinite, expected finite ones. "
            "The training had diverged; use an earlier checkpoint."
        )


def _cannot_store(error: Exception) -> CheckpointError:
    return CheckpointError(f"cannot store this checkpoint: {error}.")
