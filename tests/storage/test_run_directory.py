"""Run directories: creation, locks, pruning, and recovery of damaged files."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from run_asserts import damage

from zoo.errors import CheckpointError, UsageError
from zoo.storage import Checkpoint, RunDirectory, checkpoint_files, digest, load, save


def checkpoint(step: int, note: str = "") -> Checkpoint:
    return Checkpoint({"theta": np.full(4, step, np.float32)}, {"step": step, "note": note})


def refuse(sentence: str) -> None:
    raise AssertionError(f"nothing should be reported, but: {sentence}")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    run.create()
    return run


def fill(run: RunDirectory, *steps: int, best: int = -1, keep: int = 100) -> None:
    for step in steps:
        run.save(step, checkpoint(step), best=step == best, keep=keep)


def steps(run: RunDirectory) -> list[int]:
    return [step for step, _ in run.checkpoints()]


def used(run: RunDirectory, which: str = "last") -> tuple[int, list[str]]:
    """The step that is loaded and what was reported."""
    reports: list[str] = []
    loaded = (run.load_last if which == "last" else run.load_best)(reports.append)
    assert loaded is not None
    assert loaded[1].meta["step"] == loaded[0]
    return loaded[0], reports


# --- the directory


def test_create_new_or_in_an_empty_directory(tmp_path: Path) -> None:
    for path in (tmp_path / "deep" / "run", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        run = RunDirectory(str(path))
        assert not run.holds_run()
        run.create()
        assert os.listdir(path) == ["checkpoints"]  # noqa: PTH208
        run.create()  # nothing was begun yet, so it may be made again
        assert run.load_last(refuse) is None
        assert run.load_best(refuse) is None
        assert run.checkpoints() == []


def begin_with_config(run: RunDirectory) -> None:
    run.write_config({})


def begin_with_log(run: RunDirectory) -> None:
    run.append_log({"step": 1})


def begin_with_checkpoint(run: RunDirectory) -> None:
    fill(run, 1)


@pytest.mark.parametrize("begin", [begin_with_config, begin_with_log, begin_with_checkpoint])
def test_create_over_a_run_is_an_error(run: RunDirectory, begin: object) -> None:
    begin(run)
    assert run.holds_run()
    with pytest.raises(CheckpointError, match=f"{re.escape(str(run.path))} already holds a run; set"):
        RunDirectory(run.path).create()
    RunDirectory(run.path).create(resuming=True)


@pytest.mark.parametrize("resuming", [False, True])
def test_create_among_foreign_files_is_an_error(tmp_path: Path, resuming: bool) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(
        CheckpointError, match=r"not empty and holds no run \(1 entries, such as 'thesis.tex'\)"
    ):
        RunDirectory(tmp_path).create(resuming=resuming)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "checkpoints").mkdir()
    (tmp_path / "other" / "checkpoints" / "model.pt").touch()
    with pytest.raises(CheckpointError, match="not empty and holds no run"):
        RunDirectory(tmp_path / "other").create(resuming=resuming)
    assert sorted(os.listdir(tmp_path)) == ["other", "thesis.tex"]  # noqa: PTH208


def test_create_over_a_comparison_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "compare.json").touch()
    with pytest.raises(CheckpointError, match="holds a comparison of `zoo compare`"):
        RunDirectory(tmp_path).create()


def test_resumed_run_may_have_other_files(run: RunDirectory) -> None:
    run.write_config({})
    (run.path / "report.html").touch()
    run.create(resuming=True)


def test_create_after_a_writer_was_killed(run: RunDirectory) -> None:
    with run.lock():
        pass
    for directory in (run.path, run.checkpoints_path):
        (directory / ".config.json.0123456789abcdef.zoo-tmp").touch()
    run.create()
    with run.lock():
        assert sorted(os.listdir(run.path)) == [".lock", "checkpoints"]  # noqa: PTH208
        assert os.listdir(run.checkpoints_path) == []  # noqa: PTH208


def test_create_over_file_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(CheckpointError, match=r"file"):
            RunDirectory(path).create()


def test_create_on_a_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    run = RunDirectory(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", fail)
        with pytest.raises(CheckpointError, match="run: the file system is read-only"):
            run.create()
    run.create()
    run.write_config({})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "touch", fail)
        with pytest.raises(CheckpointError, match="run: the file system is read-only"):
            run.create(resuming=True)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="root writes everywhere")
def test_read_only_run(run: RunDirectory) -> None:
    fill(run, 1)
    run.write_config({"a": 1})
    for directory in (run.checkpoints_path, run.path):
        directory.chmod(0o555)
    try:
        for write in (
            lambda: run.create(resuming=True),
            lambda: run.save(2, checkpoint(2), best=False),
            lambda: run.write_config({}),
            lambda: run.append_log({}),
            lambda: run.lock().__enter__(),
        ):
            with pytest.raises(CheckpointError, match="permission is denied"):
                write()
        assert used(run) == (1, [])
        assert run.read_config() == {"a": 1}
    finally:
        for directory in (run.path, run.checkpoints_path):
            directory.chmod(0o755)


# --- the configuration


def test_config(run: RunDirectory) -> None:
    config = {"cell": "vanilla", "sizes": [1, 2], "lr": 0.002, "nested": {"z": None, "a": True}}
    run.write_config(config)
    assert run.read_config() == config
    assert run.config_path.read_text(encoding="ascii").endswith("}\n")
    with pytest.raises(CheckpointError, match=r"config\.json: value\.lr is nan"):
        run.write_config({"lr": float("nan")})
    assert run.read_config() == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[]", "expected an object"),
        (b'{"a":1,"a":2}', "'a' is there twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1e999}', "too large"),
        (b'{"a":1}\n{}', "Extra data"),
        (b'{"a":"\xff"}', "utf-8"),
        (b"[" * 100_000, "nested more than 64"),
    ],
    ids=lambda value: str(value[:20]),
)
def test_config_must_be_strict_json(run: RunDirectory, text: bytes, words: str) -> None:
    run.config_path.write_bytes(text)
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{words}"):
        run.read_config()


def test_missing_config_is_an_error(run: RunDirectory) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: no such file or directory"):
        run.read_config()


# --- the lock

HOLD = """
import sys, time
from zoo.storage import RunDirectory
with RunDirectory(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_lock_excludes_processes_until_they_die(run: RunDirectory) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held" + os.linesep.encode()
        with (
            pytest.raises(CheckpointError, match=f"{re.escape(str(run.path))} is in use by another process"),
            run.lock(),
        ):
            pytest.fail("two processes hold the lock")
        holder.kill()
    with run.lock():
        fill(run, 1)


def test_lock_excludes_writers_in_one_process(run: RunDirectory) -> None:
    with run.lock():
        with pytest.raises(CheckpointError, match="in use"), RunDirectory(run.path).lock():
            pytest.fail("two hold the lock")
        assert run.load_last(refuse) is None  # readers need no lock
    with pytest.raises(KeyError), run.lock():
        raise KeyError
    with run.lock():
        pass


def test_lock_needs_the_directory(tmp_path: Path) -> None:
    with (
        pytest.raises(CheckpointError, match="no such file or directory; create it first"),
        RunDirectory(tmp_path / "run").lock(),
    ):
        pytest.fail("locked")
    assert not (tmp_path / "run").exists()


# --- saving


def test_layout_and_pointers(run: RunDirectory) -> None:
    path = run.save(1200, checkpoint(1200), best=True)
    assert path == run.checkpoints_path / "step-00001200.safetensors"
    pointer = {"file": path.name, "sha256": digest(checkpoint(1200)), "step": 1200}
    assert json.loads((run.checkpoints_path / "last.json").read_bytes()) == pointer
    assert json.loads((run.checkpoints_path / "best.json").read_bytes()) == pointer
    run.save(np.int64(1300), checkpoint(1300), best=False)
    assert json.loads((run.checkpoints_path / "last.json").read_bytes())["step"] == 1300
    assert json.loads((run.checkpoints_path / "best.json").read_bytes()) == pointer
    assert run.checkpoints() == [(1200, path), (1300, run.checkpoints_path / "step-00001300.safetensors")]
    assert not any(path.is_symlink() for path in run.checkpoints_path.iterdir())
    assert (used(run), used(run, "best")) == ((1300, []), (1200, []))


def test_last_is_written_last(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(Path(b).name), replace(a, b)))
    fill(run, 7, best=7)
    assert order == ["step-00000007.safetensors", "best.json", "last.json"]


def test_long_step_numbers_and_other_names(run: RunDirectory) -> None:
    fill(run, 0, 99_999_999, 100_000_000, 10**18 - 1)
    for name in (
        "step-1.safetensors",
        "step-000000001.safetensors",
        "step-0000000x.safetensors",
        "notes.txt",
    ):
        (run.checkpoints_path / name).touch()
    assert steps(run) == [0, 99_999_999, 100_000_000, 10**18 - 1]


@pytest.mark.parametrize(("step", "keep"), [(-1, 3), (1, 0), (1, -1), (10**18, 3)])
def test_out_of_range(run: RunDirectory, step: int, keep: int) -> None:
    with pytest.raises(UsageError, match=f"step {step} and keep {keep}"):
        run.save(step, checkpoint(step), best=False, keep=keep)
    assert steps(run) == []


@pytest.mark.parametrize("failing", ["step-00000002.safetensors", "best.json", "last.json"])
def test_full_disk_loses_nothing(run: RunDirectory, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    fill(run, 1, best=1, keep=1)
    replace = os.replace

    def fill_up(source: str, target: str) -> None:
        if Path(target).name == failing:
            raise OSError(errno.ENOSPC, "full")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fill_up)
        with pytest.raises(CheckpointError, match=f"{failing}: no space is left"):
            run.save(2, checkpoint(2), best=True, keep=1)
    assert not [name for name in os.listdir(run.checkpoints_path) if "tmp" in name]  # noqa: PTH208
    assert used(run) == (1, [])
    assert used(run, "best") == (2 if failing == "last.json" else 1, [])
    fill(run, 2, best=2, keep=1)
    assert (used(run), used(run, "best"), steps(run)) == ((2, []), (2, []), [2])


# --- resuming after a kill


class Killed(BaseException):
    """The process dies here."""


def save_all(run: RunDirectory, bests: tuple[bool, ...], keep: int) -> None:
    """Start or resume a run from ``last``, and save all steps after it."""
    loaded = run.load_last(lambda _: None)
    done = 0 if loaded is None else loaded[0]
    if loaded is not None:
        best = max((step for step in range(1, done + 1) if bests[step - 1]), default=None)
        run.resume(*loaded, best_step=best, report=refuse, keep=keep)
        if best is not None:
            assert used(run, "best") == (best, []), "the best checkpoint is lost"
    for step in range(done + 1, len(bests) + 1):
        run.save(step, checkpoint(step), best=bests[step - 1], keep=keep)


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("bests", [*itertools.product([True, False], repeat=3)])
def test_kill_between_writes_loses_no_pointer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bests: tuple[bool, ...], keep: int
) -> None:
    """Killed before a rename or a removal, then again in the resumed run."""
    calls, left = 0, 0

    def dying(call: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: object, **options: object) -> None:
            nonlocal calls, left
            calls, left = calls + 1, left - 1
            if left == 0:
                raise Killed
            call(*arguments, **options)

        return counted

    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "replace", dying(os.replace))
    monkeypatch.setattr("zoo.storage.checkpoint_files.remove", dying(checkpoint_files.remove))

    def finish(name: str, kills: tuple[int, ...]) -> dict[str, bytes]:
        nonlocal left
        run = RunDirectory(tmp_path / name)
        run.create()
        for each in (*kills, 0, 0):  # the last session ends what it resumes from: it prunes, and no more
            left = each
            with contextlib.suppress(Killed):
                save_all(run, bests, keep)
        return {path.name: path.read_bytes() for path in run.checkpoints_path.iterdir()}

    whole = finish("whole", ())
    count = calls
    for first, second in itertools.product(range(1, count + 1), (0, 2)):
        assert finish(f"run-{first}-{second}", (first, second)) == whole, (first, second)


def test_resume_repairs_pointers(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(run, 1, 2, 3, best=2)
    before = {path.name: path.read_bytes() for path in run.checkpoints_path.glob("*.json")}
    last = checkpoint(3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: pytest.fail("a pointer that is right is written again"))
        run.resume(3, last, best_step=2, report=refuse)
    (run.checkpoints_path / "best.json").write_bytes(b"{")
    (run.checkpoints_path / "last.json").unlink()
    run.resume(3, last, best_step=2, report=refuse)
    assert {path.name: path.read_bytes() for path in run.checkpoints_path.glob("*.json")} == before
    assert run.resumed_from == 3


def test_resume_reports_a_damaged_best_checkpoint(run: RunDirectory) -> None:
    fill(run, 1, 2, best=1)
    damage(run.checkpoints()[0][1])
    (run.checkpoints_path / "best.json").unlink()
    reports: list[str] = []
    run.resume(2, checkpoint(2), best_step=1, report=reports.append)
    assert not (run.checkpoints_path / "best.json").exists()
    (sentence,) = reports
    assert "step-00000001.safetensors: it is damaged" in sentence
    assert sentence.endswith("The best checkpoint, of step 1, cannot be restored.")


# --- pruning


def test_newest_checkpoints_stay(run: RunDirectory) -> None:
    fill(run, 1, 2, 3, 4, 5, keep=3)
    assert steps(run) == [3, 4, 5]
    fill(run, 6, keep=1)
    assert steps(run) == [6]


def test_best_stays_until_improved(run: RunDirectory) -> None:
    fill(run, 1, 2, 3, 4, 5, best=1, keep=2)
    assert steps(run) == [1, 4, 5]
    fill(run, 6, best=6, keep=2)
    assert steps(run) == [5, 6]


def test_checkpoint_resumed_from_stays(run: RunDirectory) -> None:
    fill(run, 1, 2)
    run.resumed_from = 1
    fill(run, 3, 4, 5, keep=1)
    assert steps(run) == [1, 5]


def test_later_checkpoints_stay_and_do_not_count(run: RunDirectory) -> None:
    """A run at 500 was resumed from its best at 200: what it then saves, at 250, is what goes on."""
    fill(run, 100, 200, 300, 400, 500, best=200)
    run.resumed_from = 200
    fill(run, 250, keep=2)
    assert steps(run) == [200, 250, 300, 400, 500]
    assert used(run) == (250, [])
    fill(run, 450, keep=2)
    assert steps(run) == [200, 400, 450, 500]


def test_damaged_best_pointer_prevents_pruning(run: RunDirectory) -> None:
    fill(run, 1, 2, best=1)
    (run.checkpoints_path / "best.json").write_bytes(b"{")
    fill(run, 3, 4, keep=1)
    assert steps(run) == [1, 2, 3, 4]
    fill(run, 5, best=5, keep=1)
    assert steps(run) == [5]


def test_best_stays_the_best_after_overwrite(run: RunDirectory) -> None:
    """A signal stops a run at a step that was just saved: the second save reports no improvement."""
    fill(run, 1, 2, best=2)
    run.save(2, checkpoint(2, "again"), best=False)
    assert used(run, "best") == (2, [])
    loaded = run.load_best(refuse)
    assert loaded is not None
    assert loaded[1].meta["note"] == "again"


# --- falling back


def test_damaged_newest_checkpoint(run: RunDirectory) -> None:
    fill(run, 1, 2, 3, best=1)
    damage(run.checkpoints()[-1][1])
    step, reports = used(run)
    assert step == 2
    assert len(reports) == 1
    assert re.search(
        r"step-00000003\.safetensors: it is damaged \(.*\)\. The checkpoint of step 2 "
        r"\(step-00000002\.safetensors\) is used instead\.", reports[0]
    )  # fmt: skip
    assert used(run, "best") == (1, [])


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 1000, None])
def test_two_damaged_or_missing_checkpoints(run: RunDirectory, content: bytes | None) -> None:
    fill(run, 1, 2, 3)
    for _, path in run.checkpoints()[1:]:
        path.unlink() if content is None else path.write_bytes(content)
    step, reports = used(run)
    assert step == 1
    assert len(reports) == (
        1 if content is None else 2
    )  # a file that is not there is only missed by its pointer
    assert all("step 1 (step-00000001.safetensors) is used instead" in report for report in reports)


@pytest.mark.parametrize(
    "pointer",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b'{"file":"step-00000001.safetensors","sha256":"0","step":1}',
        b'{"file":"step-00000001.safetensors","sha256":"%s","step":2}' % (b"0" * 64),
        b'{"file":"step-00000001.safetensors","sha256":"%s","step":true}' % (b"0" * 64),
        b'{"file":"step-00000001.safetensors","sha256":"%s","step":1,"x":1}' % (b"0" * 64),
        b'{"file":"../step-00000001.safetensors","sha256":"%s","step":1}' % (b"0" * 64),
        b'{"file":["step-00000001.safetensors"],"sha256":"%s","step":1}' % (b"0" * 64),
        b'{"file":"step-00000001.safetensors","sha256":null,"step":1}',
    ],
)
def test_damaged_or_missing_last_pointer(run: RunDirectory, pointer: bytes | None) -> None:
    fill(run, 1, 2, 3)
    path = run.checkpoints_path / "last.json"
    path.unlink() if pointer is None else path.write_bytes(pointer)
    step, reports = used(run)
    assert step == 3
    assert len(reports) == 1
    assert "last.json" in reports[0]
    assert "step 3 (step-00000003.safetensors) is used instead" in reports[0]


def test_valid_file_with_another_digest(run: RunDirectory) -> None:
    fill(run, 1, 2)
    save(run.checkpoints()[-1][1], checkpoint(2, "another"))
    step, reports = used(run)
    assert step == 1
    assert len(reports) == 1
    assert "it holds another checkpoint than its pointer names" in reports[0]


def test_kill_between_overwritten_file_and_pointer(run: RunDirectory) -> None:
    """The only file there is does not match the pointer, and is whole: better than to give up."""
    fill(run, 2)
    save(run.checkpoints()[-1][1], checkpoint(2, "again"))
    step, reports = used(run)
    assert step == 2
    assert len(reports) == 1
    assert "another checkpoint" in reports[0]


def test_no_valid_checkpoint_is_an_error(run: RunDirectory) -> None:
    fill(run, 1, 2)
    for _, path in run.checkpoints():
        damage(path)
    for attempt in (run.load_last, run.load_best):
        with pytest.raises(
            CheckpointError, match=r"no checkpoint in .* is valid \(2 files tried\).*step-00000002"
        ):
            attempt(refuse)


def test_pointer_without_files_is_an_error(run: RunDirectory) -> None:
    fill(run, 1)
    run.checkpoints()[0][1].unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint .* is valid"):
        run.load_last(refuse)


def test_best_falls_back_to_last(run: RunDirectory) -> None:
    fill(run, 1, 2, 3)
    step, reports = used(run, "best")
    assert step == 3
    assert "has no best checkpoint, because no validation has finished." in reports[0]
    assert "The last checkpoint, of step 3, is used instead of the best" in reports[0]
    fill(run, 4, 5, best=4)
    damage(run.checkpoints_path / "step-00000004.safetensors")
    step, reports = used(run, "best")
    assert step == 5
    assert "step-00000004.safetensors: it is damaged" in reports[0]


def test_loading_changes_nothing_on_disk(run: RunDirectory) -> None:
    fill(run, 1, 2, best=1)
    damage(run.checkpoints()[-1][1])
    before = {path: path.read_bytes() for path in run.checkpoints_path.iterdir()}
    used(run)
    used(run, "best")
    assert {path: path.read_bytes() for path in run.checkpoints_path.iterdir()} == before


def test_resume_after_a_fallback(run: RunDirectory) -> None:
    fill(run, 1, 2, 3)
    damage(run.checkpoints()[-1][1])
    run.resumed_from, _ = used(run)
    fill(run, 3, 4, keep=1)
    assert (used(run), steps(run)) == ((4, []), [2, 4])
    assert load(run.checkpoints()[-1][1]).meta["step"] == 4


def test_missing_folder_has_no_checkpoints(tmp_path: Path) -> None:
    assert checkpoint_files.list_checkpoints(tmp_path / "missing") == []
    assert checkpoint_files.load_last(tmp_path / "missing", refuse) is None
