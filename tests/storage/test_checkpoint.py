"""Checkpoints: round trips, identical bytes everywhere, and errors."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zoo.errors import CheckpointError
from zoo.storage import Checkpoint, digest, expect, load, pack, save, unpack

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = [np.dtype(name) for name in ("float32", "float64", "int32", "int64", "uint8", "uint64")]
NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:/-]{0,20}\Z")
# Sizes down to none; () is a 0-d array.
SHAPES = st.just(()) | hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
METAS = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner), max_leaves=8
    ),
    max_size=4,
)


@st.composite
def laid_out_arrays(draw: st.DrawFn) -> Array:
    """An array of an allowed dtype in any memory order."""
    array: Array = draw(hnp.arrays(draw(st.sampled_from(DTYPES)), draw(SHAPES)))
    order = draw(st.sampled_from(["C", "F", "transposed", "reversed", "strided", "broadcast"]))
    if order == "F":
        return np.asfortranarray(array).reshape(array.shape, order="F")
    if order == "transposed":
        return array.T
    if order == "reversed":
        return array[(..., *(slice(None, None, -1),) * array.ndim)]  # the dots: 0-d stays an array
    if order == "strided":
        return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array
    return np.broadcast_to(array, (3, *array.shape)) if order == "broadcast" else array


CHECKPOINTS = st.builds(Checkpoint, st.dictionaries(NAMES, laid_out_arrays(), max_size=4), METAS)


def assert_same(actual: Checkpoint, expected: Checkpoint) -> None:
    """Bit for bit, so that NaN equals NaN and 0.0 does not equal -0.0."""
    assert json.dumps(actual.meta, sort_keys=True) == json.dumps(expected.meta, sort_keys=True)
    assert list(actual.arrays) == sorted(expected.arrays)
    for name, array in expected.arrays.items():
        assert (actual.arrays[name].dtype, actual.arrays[name].shape) == (array.dtype, array.shape)
        assert actual.arrays[name].tobytes() == array.tobytes()


@settings(deadline=None)
@given(CHECKPOINTS)
def test_round_trip_in_any_memory_order(checkpoint: Checkpoint) -> None:
    before = {name: array.tobytes() for name, array in checkpoint.arrays.items()}
    back = unpack(pack(checkpoint), source="memory")
    assert_same(back, checkpoint)
    assert {
        name: array.tobytes() for name, array in checkpoint.arrays.items()
    } == before  # nothing was written to
    assert all(array.flags.c_contiguous and array.flags.writeable for array in back.arrays.values())


@settings(deadline=None, max_examples=50)
@given(CHECKPOINTS)
def test_same_content_same_bytes(checkpoint: Checkpoint) -> None:
    data = pack(checkpoint)
    turned = Checkpoint(
        {name: np.asfortranarray(checkpoint.arrays[name]).reshape(checkpoint.arrays[name].shape, order="F")
         for name in reversed(list(checkpoint.arrays))},
        dict(reversed(list(checkpoint.meta.items()))),
    )  # fmt: skip
    assert pack(turned) == data
    assert pack(unpack(data, source="memory")) == data


@settings(deadline=None, max_examples=25)
@given(CHECKPOINTS, CHECKPOINTS)
def test_digest_is_of_the_content(one: Checkpoint, other: Checkpoint) -> None:
    same = pack(one) == pack(other)
    assert (digest(one) == digest(other)) == same


def test_digest_is_the_documented_stream() -> None:
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, dtype=np.uint64)
    stream = b'{"k":[1,2.5]}' + b'["a","float32",[2,3]]' + a.tobytes() + b'["b","uint64",[]]' + b.tobytes()
    checkpoint = Checkpoint({"b": b, "a": a}, {"k": [1, 2.5]})
    assert digest(checkpoint) == hashlib.sha256(stream).hexdigest()


def test_plain_safetensors_readers_can_open_it(tmp_path: Path) -> None:
    checkpoint = Checkpoint({"b": np.ones(3, np.float32), "a": np.zeros((2, 2))}, {"step": 7})
    path = tmp_path / "file.safetensors"
    sha256 = save(path, checkpoint)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        np.testing.assert_array_equal(file.get_tensor("b"), checkpoint.arrays["b"])
    assert metadata == {"zoo": f'{{"format":1,"meta":{{"step":7}},"sha256":"{sha256}"}}'}


ONE_PROCESS = """
import hashlib, numpy as np
from zoo.storage import Checkpoint, pack
rows = np.arange(12.0).reshape(3, 4)
arrays = {name: (rows * i).T.astype(dtype) for i, name in enumerate("qwertyuiop")
          for dtype in [("f4", "f8", "i4", "i8", "u1", "u8")[i % 6]]}
meta = {name: {inner: [1.5, None] for inner in {"x", "y", "z", name}} for name in {"a", "b", "c", "d", "e"}}
print(hashlib.sha256(pack(Checkpoint(arrays, meta))).hexdigest())
"""


def test_same_bytes_in_every_process() -> None:
    """Five processes with different hash seeds; safetensors with several metadata keys fails this."""
    environment = dict(os.environ)
    digests = set()
    for seed in ("0", "1", "2", "3", "random"):
        environment["PYTHONHASHSEED"] = seed
        digests.add(
            subprocess.run(
                [sys.executable, "-c", ONE_PROCESS],
                env=environment,
                capture_output=True,
                check=True,
                timeout=60,
            ).stdout
        )
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


@pytest.mark.parametrize(
    "array",
    [np.zeros(2, np.float16), np.zeros(2, bool), np.zeros(2, complex), np.zeros(2, ">f4"), np.array([None]),
     np.array(["a"]), np.zeros(2, np.int16), np.zeros(2, [("f", "f4")])],
    ids=lambda array: str(array.dtype),
)  # fmt: skip
def test_other_dtypes_are_errors(array: Array) -> None:
    with pytest.raises(CheckpointError, match=r"array 'a' has dtype .*expected one of float32"):
        pack(Checkpoint({"a": array}, {}))
    with pytest.raises(CheckpointError, match="'a' has dtype"):
        digest(Checkpoint({"a": array}, {}))


@pytest.mark.parametrize(
    "name", ["", "__metadata__", "_a", "a b", "a\n", "ä", "a\0", "a" * 201, "\ud800", "-a", "٣"]
)
def test_other_names_are_errors(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"array name .* is not allowed"):
        pack(Checkpoint({name: np.zeros(2)}, {}))


@pytest.mark.parametrize("value", [[1.0], 1.0, np.float32(1), None])
def test_values_must_be_arrays(value: Any) -> None:
    with pytest.raises(CheckpointError, match="expected a NumPy array"):
        pack(Checkpoint({"a": value}, {}))


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"a": float("nan")}, r"meta\.a is nan"),
        ({"a": [{"b": float("inf")}]}, r"meta\.a\[0\]\.b is inf"),
        ({"a": {1: 2}}, r"meta\.a has the key 1"),
        ({"a": np.int64(1)}, r"meta\.a has the type int64"),
        ({"a": b""}, r"meta\.a has the type bytes"),
        ([1], "not exactly format, meta and sha256"),
        ({"a": "\U0001f600" * 1_500_000}, "header of .* bytes"),
    ],
    ids=["nan", "inf", "key", "numpy", "bytes", "list", "large"],
)
def test_invalid_metas_are_errors(meta: Any, words: str) -> None:
    with pytest.raises(CheckpointError, match=f"cannot store this checkpoint: .*{words}"):
        pack(Checkpoint({}, meta))


def test_any_text_round_trips() -> None:
    meta: dict[str, object] = {
        "vocabulary": [chr(code) for code in (*range(0x300), 0xD800, 0xDFFF, 0x10FFFF)]
    }
    assert unpack(pack(Checkpoint({}, meta)), source="memory").meta == meta


def test_corrupting_serializer_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As safetensors 0.8.0 does with arrays that are not C-contiguous."""
    serialize = safetensors.numpy.save

    def corrupt(arrays: dict[str, Array], metadata: dict[str, str]) -> bytes:
        return serialize(
            {name: np.ascontiguousarray(array[::-1]) for name, array in arrays.items()}, metadata
        )

    monkeypatch.setattr(safetensors.numpy, "save", corrupt)
    with pytest.raises(CheckpointError, match="sha256 does not match"):
        pack(Checkpoint({"a": np.arange(3.0)}, {}))


def test_save_and_load(tmp_path: Path) -> None:
    checkpoint = Checkpoint({"a": np.arange(6, dtype=np.float32).reshape(2, 3).T}, {"step": 3})
    path = tmp_path / "file.safetensors"
    assert save(path, checkpoint) == digest(checkpoint) == digest(load(str(path)))
    assert path.read_bytes() == pack(checkpoint)
    assert_same(load(path, max_bytes=path.stat().st_size), checkpoint)
    with pytest.raises(CheckpointError, match=f"has {path.stat().st_size:,} bytes; expected at most"):
        load(path, max_bytes=path.stat().st_size - 1)


def test_failed_save_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save(path, Checkpoint({}, {"step": 1}))
    with pytest.raises(CheckpointError, match="cannot store"):
        save(path, Checkpoint({"a": np.zeros(1, bool)}, {}))
    assert load(path).meta == {"step": 1}


def test_load_error_names_path_and_reason(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"missing\.safetensors: no such file or directory"):
        load(tmp_path / "missing.safetensors")
    with pytest.raises(CheckpointError, match="it is a directory, expected a file"):
        load(tmp_path)
    (tmp_path / "file").write_bytes(b"text")
    with pytest.raises(CheckpointError, match=r"file: it has 4 bytes, too few"):
        load(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"a part of the path is a file|does not exist"):
        load(tmp_path / "file" / "inner")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX devices")
def test_load_does_not_block_on_pipes_or_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(CheckpointError, match="a device or a pipe"):
            load(path)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="root reads everything")
def test_load_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save(path, Checkpoint({}, {}))
    path.chmod(0)
    with pytest.raises(CheckpointError, match="permission is denied"):
        load(path)


EXPECTED = {"a": ((2, 3), np.dtype(np.float32)), "b": ((), np.dtype(np.int64))}


def arrays(**changes: Array | None) -> Checkpoint:
    whole: dict[str, Array | None] = {"a": np.ones((2, 3), np.float32), "b": np.array(1), **changes}
    return Checkpoint({name: array for name, array in whole.items() if array is not None}, {})


def test_expect_accepts_matching_checkpoint() -> None:
    expect(arrays(), EXPECTED, source="s")
    expect(Checkpoint({}, {}), {}, source="s")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a": None}, r"'a': found no such array, expected float32 \(2, 3\)"),
        ({"c": np.zeros(1)}, r"'c': found float64 \(1,\), expected no such array"),
        ({"a": np.zeros((3, 2), np.float32)}, r"'a': found float32 \(3, 2\), expected float32 \(2, 3\)"),
        ({"a": np.zeros((2, 3))}, r"'a': found float64 \(2, 3\), expected float32 \(2, 3\)"),
        ({"a": np.zeros((2, 3, 1), np.float32)}, r"found float32 \(2, 3, 1\)"),
        ({"b": np.zeros((1,), np.int64)}, r"'b': found int64 \(1,\), expected int64 \(\)"),
        ({"b": np.array(1, np.uint64), "c": np.zeros(1)}, "'b'"),
        (
            {"a": np.array([[1, 2, np.nan], [np.inf, 5, 6]], np.float32)},
            "'a': found 2 values that are NaN or inf",
        ),
    ],
)
def test_expect_names_the_first_offender(changes: dict[str, Array | None], words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        expect(arrays(**changes), EXPECTED, source="run/file")
    assert "run/file" in str(caught.value)
