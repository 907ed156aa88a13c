"""The log: complete lines only, NaN and infinity, truncation to a step."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.errors import CheckpointError
from zoo.storage import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    run.create()
    return run


def fill(run: RunDirectory, *steps: int) -> None:
    for step in steps:
        run.append_log({"step": step, "loss": step / 2})


def steps(run: RunDirectory) -> list[object]:
    return [record["step"] for record in run.read_log()]


def test_lines_are_read_in_order(run: RunDirectory) -> None:
    assert run.read_log() == []
    run.append_log({"text": "é\n\u2028\ud800", "none": None, "list": (1, [2.5, True])})
    run.append_log({})
    assert run.read_log() == [{"text": "é\n\u2028\ud800", "none": None, "list": [1, [2.5, True]]}, {}]
    assert run.log_path.read_bytes().count(b"\n") == 2


def test_lines_are_written_at_once(run: RunDirectory) -> None:
    fill(run, 1)
    assert run.log_path.read_bytes() == b'{"loss":0.5,"step":1}\n'


def test_nan_infinity_and_numpy_scalars(run: RunDirectory) -> None:
    nan, inf = float("nan"), float("inf")
    run.append_log({"a": nan, "b": [inf, {"c": -inf}], "d": np.float32(nan), "e": np.float64(inf)})
    run.append_log({"f": np.float32(0.5), "g": np.int64(3), "h": np.bool_(True)})
    one, two = run.read_log()
    assert one == {"a": "nan", "b": ["inf", {"c": "-inf"}], "d": "nan", "e": "inf"}
    assert two == {"f": 0.5, "g": 3, "h": True}
    assert float(str(one["e"])) == np.inf  # as the documentation says


@pytest.mark.parametrize("record", [{"a": b""}, {"a": {1: 2}}, {"a": np.zeros(2)}, {"a": 1j}])
def test_invalid_records_leave_the_log(run: RunDirectory, record: dict[str, object]) -> None:
    fill(run, 1)
    with pytest.raises(CheckpointError, match=r"log\.jsonl: record\.a"):
        run.append_log(record)
    assert steps(run) == [1]


def test_torn_last_line_is_ignored(run: RunDirectory) -> None:
    """For every length that a killed writer may leave: to read, to append to, to cut back."""
    whole = b'{"step":1}\n{"step":2}\n'
    for length in range(len(whole) + 1):
        torn = whole[:length]
        left = [1, 2][: torn.count(b"\n")]
        run.log_path.write_bytes(torn)
        assert steps(run) == left
        fill(run, 3)
        assert steps(run) == [*left, 3]
        run.log_path.write_bytes(torn)
        run.truncate_log(5)
        assert run.log_path.read_bytes() == torn[: torn.rfind(b"\n") + 1]


@pytest.mark.parametrize(
    "bad", [b"{", b"", b"[1]", b'{"a":1}{"b":2}', b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"\0"]
)
def test_error_names_the_bad_line(run: RunDirectory, bad: bytes) -> None:
    run.log_path.write_bytes(b'{"step":1}\n' + bad + b'\n{"step":2}\n')
    before = run.log_path.read_bytes()
    for read in (run.read_log, lambda: run.truncate_log(1)):
        with pytest.raises(CheckpointError, match=r"log\.jsonl, line 2: .* Correct or delete that line"):
            read()
    assert run.log_path.read_bytes() == before


def test_truncate(run: RunDirectory) -> None:
    run.truncate_log(3)
    assert not run.log_path.exists()
    run.append_log({"event": "begin"})
    fill(run, 1, 2, 3, 4)
    run.append_log({"step": "none"})
    fill(run, 5)
    with run.log_path.open("ab") as file:
        file.write(b'{"step": 2, "torn": ')
    lines = run.log_path.read_bytes().split(b"\n")
    run.truncate_log(3)
    assert run.log_path.read_bytes().split(b"\n") == [*lines[:4], lines[5], b""]
    run.truncate_log(-1)
    assert run.read_log() == [{"event": "begin"}, {"step": "none"}]


def test_truncate_is_atomic(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(run, 1, 2)
    before = run.log_path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(CheckpointError, match="no space is left"):
            run.truncate_log(1)
    assert run.log_path.read_bytes() == before
    assert sorted(os.listdir(run.path)) == ["checkpoints", "log.jsonl"]  # noqa: PTH208


def test_full_disk_leaves_no_partial_line(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes five bytes of the line and then no more."""
    from zoo.storage import log

    class FullDisk(log.FileIO):
        free_bytes = 5

        def write(self, data: Any) -> int:
            if self.free_bytes == 0:
                raise OSError(errno.ENOSPC, "full")
            written = super().write(data[: self.free_bytes])
            self.free_bytes -= written
            return written

    fill(run, 1)
    with monkeypatch.context() as patch:
        patch.setattr(log, "FileIO", FullDisk)
        with pytest.raises(CheckpointError, match=r"log\.jsonl: no space is left"):
            fill(run, 2)
    assert run.log_path.read_bytes() == b'{"loss":0.5,"step":1}\n'
    fill(run, 3)
    assert steps(run) == [1, 3]


def test_log_without_a_directory(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "missing")
    assert run.read_log() == []
    with pytest.raises(CheckpointError, match="missing: no such file or directory"):
        run.append_log({"step": 1})


def test_log_that_is_a_directory(run: RunDirectory) -> None:
    run.log_path.mkdir()
    with pytest.raises(CheckpointError, match="it is a directory"):
        run.read_log()
    with pytest.raises(CheckpointError, match="cannot write"):
        run.append_log({"step": 1})


def test_every_line_is_plain_json(run: RunDirectory) -> None:
    fill(run, 1, 2)
    assert [json.loads(line)["step"] for line in run.log_path.read_text(encoding="ascii").splitlines()] == [
        1,
        2,
    ]
