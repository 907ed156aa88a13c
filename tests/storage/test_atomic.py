"""Atomic writes: success, failure of every call, and leftover temporaries."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.errors import CheckpointError
from zoo.storage import remove_temporaries, write_bytes, write_json
from zoo.storage.atomic import check_writable, fsync_directory, write_chunks, write_files

OLD, NEW = b"the old content", b"the new content" * 1000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(OLD)
    return path


def assert_untouched(target: Path) -> None:
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == [target.name]  # noqa: PTH208 - hidden names count too


def test_replaces_the_content_and_leaves_nothing_else(target: Path) -> None:
    write_bytes(target, NEW)
    assert target.read_bytes() == NEW
    write_bytes(str(target), b"")
    assert target.read_bytes() == b""
    assert os.listdir(target.parent) == [target.name]  # noqa: PTH208


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_mode_follows_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "file", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_order_of_the_durable_write(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is flushed before the rename, its directory after it."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(descriptor: int) -> None:
        events.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def spy_replace(source: str, destination: str) -> None:
        assert Path(source).parent == Path(destination).parent
        assert Path(source).read_bytes() == NEW
        events.append("replace")
        replace(source, destination)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    write_bytes(target, NEW)
    assert [event for event in events if os.name != "nt" or event != "directory"] == (
        ["file", "replace", "directory"] if os.name != "nt" else ["file", "replace"]
    )


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space is left on the device"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EFBIG, "larger than the limit"),
        (errno.EACCES, "permission is denied"),
        (errno.ENOENT, "its directory permits no new files"),
        (errno.EIO, os.strerror(errno.EIO)[1:]),
    ],
)
def test_failed_call_keeps_old_file(
    target: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, words: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(CheckpointError, match=words) as caught:
        write_bytes(target, NEW)
    assert str(target) in str(caught.value)
    assert "unchanged" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert_untouched(target)


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("existing", [0, 1, 3])
def test_several_files_are_written_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, existing: int
) -> None:
    """The disk is full at one of three files, of which some exist."""
    paths = [tmp_path / name for name in ("model.h", "model.c", "model.txt")]
    for path in paths[:existing]:
        path.write_bytes(OLD)
    calls = iter(range(100))
    fsync = os.fsync

    def fill_disk(descriptor: int) -> None:
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, "full")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_disk)
        with pytest.raises(CheckpointError, match=f"cannot write {paths[failing]}: no space is left"):
            write_files(dict.fromkeys(paths, NEW))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(paths[:existing], OLD)
    write_files(dict.fromkeys(paths, NEW))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(paths, NEW)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_other_exceptions_keep_the_old_file(
    target: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def interrupt(*_: object) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(stop):
        write_bytes(target, NEW)
    assert_untouched(target)


@pytest.mark.parametrize("lie", [b"", NEW[:-1], NEW + b"x", b"T" + NEW[1:]])
def test_corrupted_write_is_detected(target: Path, monkeypatch: pytest.MonkeyPatch, lie: bytes) -> None:
    fsync = os.fsync

    def damage(descriptor: int) -> None:
        fsync(descriptor)
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, lie)

    monkeypatch.setattr(os, "fsync", damage)
    with pytest.raises(CheckpointError, match="read back differs"):
        write_bytes(target, NEW)
    assert_untouched(target)


@pytest.mark.skipif(os.name == "nt", reason="Windows flushes no directories")
def test_directory_fsync_errors(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync
    number = errno.EINVAL

    def fail_for_directories(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_directories)
    write_bytes(target, NEW)  # EINVAL: such a file system has no such thing, and all is well
    number = errno.EIO
    with pytest.raises(CheckpointError, match="did not confirm"):
        write_bytes(target, OLD)
    assert_untouched(target)  # the new content, which is OLD, is in place, and no temporary


def test_invalid_paths(target: Path) -> None:
    with pytest.raises(CheckpointError, match="missing: no such file or directory"):
        write_bytes(target.parent / "missing" / "file", NEW)
    with pytest.raises(CheckpointError, match=r"a file, not a directory|does not exist"):
        write_bytes(target / "file", NEW)
    assert_untouched(target)
    (target.parent / "folder").mkdir()
    with pytest.raises(CheckpointError, match="cannot write"):
        write_bytes(target.parent / "folder", NEW)
    with pytest.raises(CheckpointError, match="cannot write"):
        write_bytes(target.parent / ("n" * 300), NEW)
    assert sorted(os.listdir(target.parent)) == ["file.bin", "folder"]  # noqa: PTH208


@pytest.mark.skipif(os.name == "nt", reason="links need permissions")
@pytest.mark.parametrize("links", [("a",), ("a", "b"), ("a", "folder/b", "c")], ids=len)
@pytest.mark.parametrize("name", ["file.bin", "folder/new.bin"])
@pytest.mark.parametrize("is_absolute", [False, True])
def test_symbolic_links_are_followed(
    target: Path, links: tuple[str, ...], name: str, is_absolute: bool
) -> None:
    """Chains of links, to files that exist or not, in the directory of the link or elsewhere."""
    folder = target.parent
    (folder / "folder").mkdir()
    goal = folder / name
    for link in links:
        path = folder / link
        path.symlink_to(goal if is_absolute else os.path.relpath(goal, path.parent))
        goal = path
    write_bytes(goal, NEW)
    write_json(goal, {"a": 1})
    assert (folder / name).read_text() == '{\n  "a": 1\n}\n'
    assert all((folder / link).is_symlink() for link in links)
    everything = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    assert sorted(everything) == sorted({"file.bin", "folder", name, *links})


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


IRREGULAR = {
    "a named pipe": os.mkfifo if hasattr(os, "mkfifo") else None,
    "a socket": make_socket,
    "a directory": os.mkdir,
    "part of a loop of symbolic links": lambda path: path.symlink_to(path.name),
}


@pytest.mark.skipif(os.name == "nt", reason="POSIX kinds of files")
@pytest.mark.parametrize("kind", IRREGULAR)
@pytest.mark.parametrize("has_link", [False, True])
@pytest.mark.parametrize("write", [write_bytes, lambda path, data: write_chunks(path, [data])])
def test_only_regular_files_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, has_link: bool, write: Callable[..., None]
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is at most 108 characters long
    path = Path("node")
    IRREGULAR[kind](path)
    before = path.lstat()
    if has_link:
        path = Path("link")
        path.symlink_to("node")
    names = sorted(os.listdir())  # noqa: PTH208
    with pytest.raises(CheckpointError, match=f"it is {kind}; name a regular file.$"):
        write(path, NEW)
    assert sorted(os.listdir()) == names  # noqa: PTH208
    after = Path("node").lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="root writes everywhere")
def test_read_only_directory(target: Path) -> None:
    target.parent.chmod(0o555)
    try:
        with pytest.raises(CheckpointError, match="permission is denied"):
            write_bytes(target, NEW)
        with pytest.raises(CheckpointError, match="permission is denied"):
            check_writable(target.parent)
        assert_untouched(target)
    finally:
        target.parent.chmod(0o755)


LIMITED = """
import resource, sys
from zoo.errors import CheckpointError
from zoo.storage import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
write_bytes(sys.argv[1], b"s" * 4096)
for size in (4097, 10_000_000):
    try:
        write_bytes(sys.argv[1], b"x" * size)
    except CheckpointError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_file_size_limit_of_the_system(target: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(target)], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stderr == ""
    assert run.stdout.count("larger than the limit allows") == 2
    assert target.read_bytes() == b"s" * 4096
    assert os.listdir(target.parent) == [target.name]  # noqa: PTH208


def test_json_is_sorted_and_strict(target: Path) -> None:
    write_json(target, {"b": [1, 2.5, None, True], "a": {"ü": "\ud800", "e": ()}})
    text = target.read_bytes()
    assert text.endswith(b"}\n")
    assert text.index(b'"a"') < text.index(b'"b"')
    assert json.loads(text) == {"b": [1, 2.5, None, True], "a": {"ü": "\ud800", "e": []}}


NESTED: object = []
for _ in range(100_000):
    NESTED = [NESTED]
CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [float("nan")]}, r"value\.a\[0\] is nan"),
        (float("-inf"), "value is -inf"),
        ({1: 2}, "has the key 1, and JSON keys are strings"),
        ({"a": {1, 2}}, r"value\.a has the type set"),
        (b"bytes", "has the type bytes"),
        (NESTED, "nested more than 64"),
        (CIRCLE, "nested more than 64"),
        (10**5000, "cannot write"),
    ],
    ids=["nan", "inf", "key", "set", "bytes", "nested", "circle", "digits"],
)
def test_json_that_cannot_round_trip_is_an_error(target: Path, value: object, words: str) -> None:
    if words == "cannot write" and not hasattr(sys, "get_int_max_str_digits"):
        pytest.skip("this Python writes integers of any length")
    with pytest.raises(CheckpointError, match=words):
        write_json(target, value)
    assert_untouched(target)


def test_remove_temporaries_keeps_foreign_files(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = [".file.tmp", "x.zoo-tmp", ".file.bin.0123456789abcdef.zoo-tmp.bak", ".b.0123.zoo-tmp"]
    for name in foreign:
        (target.parent / name).write_bytes(b"")
    left: list[Path] = []

    def die(source: str, destination: str) -> None:
        left.append(Path(source).rename(f"{source}x"))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(target, NEW)
    leftover = left[0].rename(str(left[0])[:-1])  # as if the process had been killed before it could clean up
    assert remove_temporaries(target.parent) == [leftover]
    assert sorted(os.listdir(target.parent)) == sorted([*foreign, target.name])  # noqa: PTH208
    assert remove_temporaries(target.parent / "missing") == []


def test_check_writable_and_fsync_directory(tmp_path: Path) -> None:
    check_writable(tmp_path)
    fsync_directory(tmp_path)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    with pytest.raises(CheckpointError, match="missing: no such file or directory; create it"):
        check_writable(tmp_path / "missing")
