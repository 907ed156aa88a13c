"""Archives of compiled kernels: a round trip, and everything that import rejects before it copies a file."""

from __future__ import annotations

import io
import json
import logging
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import CheckpointError, DataError, UsageError
from zoo.kernels.cache import environment
from zoo.kernels.cache_dir import cached_files, kernel_directory, load_pickled, write_checked
from zoo.storage.kernel_archive import ArchiveCounts, export_kernels, import_kernels

NAMES = [f"forward-{'0' * 40}.kernel", f"zoo.add_panels.float32-{'a' * 40}.kernel"]


class Caches:
    """Two directories of kernels, the first with two files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.archive = folder / "kernels.zip"

    def use(self, name: str) -> Path:
        self.monkeypatch.setenv("ZOO_CACHE_DIR", str(self.folder / name))
        kernel_directory.cache_clear()
        directory = kernel_directory()
        assert directory is not None
        return directory


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caches]:
    caches = Caches(tmp_path, monkeypatch)
    directory = caches.use("first")
    for name in NAMES:
        write_checked(directory / name, name.encode() * 10)
    yield caches
    kernel_directory.cache_clear()


def test_archive_copies_all_undamaged_kernels(caches: Caches) -> None:
    first = caches.use("first")
    (first / f"damaged-{'0' * 40}.kernel").write_bytes(b"half a file")
    contents = {name: (first / name).read_bytes() for name in NAMES}
    size = sum(map(len, contents.values()))
    assert export_kernels(caches.archive) == ArchiveCounts(2, size)
    second = caches.use("second")
    assert import_kernels(caches.archive) == ArchiveCounts(2, size)
    assert {file.name: file.read_bytes() for file in cached_files()} == contents
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in second.iterdir())
    assert import_kernels(caches.archive) == ArchiveCounts(2, size, already_stored=2)


def test_import_unpickles_nothing(caches: Caches, monkeypatch: pytest.MonkeyPatch) -> None:
    name = NAMES[0]
    write_checked(caches.use("first") / name, b"cbuiltins\nexit\n(tR.")  # a pickle that ends the process
    export_kernels(caches.archive)
    second = caches.use("second")
    import_kernels(caches.archive)
    with pytest.raises(SystemExit):  # the file is there, and using it is another matter
        load_pickled(second / name, lambda parts: parts)


@pytest.mark.parametrize("content", [b"no pickle", b"cno_such_module\nkernel\n.", pickle.dumps((1, 2))])
def test_kernel_that_cannot_be_loaded_is_logged_and_removed(
    content: bytes, caches: Caches, caplog: pytest.LogCaptureFixture
) -> None:
    path = caches.use("first") / NAMES[0]
    write_checked(path, content)

    def rebuild(parts: Any) -> None:
        raise ValueError(f"unknown parts {parts}")

    with caplog.at_level(logging.DEBUG, "zoo.compile"):
        assert load_pickled(path, rebuild) is None
    (record,) = caplog.records
    assert record.getMessage() == f"removing a kernel that cannot be loaded: {path}"
    assert record.exc_info is not None
    assert not path.exists()


def edit(archive: Path, change: Callable[[dict[str, Any], dict[str, bytes]], object]) -> None:
    """Write an archive again with other contents."""
    with zipfile.ZipFile(archive) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(contents.pop("manifest.json"))
    change(manifest, contents)
    with zipfile.ZipFile(archive, "w") as new:
        new.writestr("manifest.json", json.dumps(manifest))
        for name, data in contents.items():
            new.writestr(name, data)


def rename(manifest: dict[str, Any], contents: dict[str, bytes], old: str, new: str) -> None:
    manifest["files"][new] = manifest["files"].pop(old)
    contents[f"kernels/{new}"] = contents.pop(f"kernels/{old}")


HERE = environment()
CHANGES: dict[str, tuple[Callable[[dict[str, Any], dict[str, bytes]], object], str]] = {
    "processor": (
        lambda manifest, _: manifest["environment"].update(processor="z80", features="+shift"),
        f"are for processor 'z80', and this process has processor '{HERE['processor']}' (features also",
    ),
    "feature": (
        lambda manifest, _: manifest["environment"].update(features=HERE["features"] + ",+magic"),
        "are for features '+magic', and this process has features ''",
    ),
    "version": (
        lambda manifest, _: manifest["environment"].update(numba="0.1"),
        f"are for numba '0.1', and this process has numba '{HERE['numba']}'; run `zoo cache build` here",
    ),
    "no environment": (lambda manifest, _: manifest.pop("environment"), "are for zoo 'unknown'"),
    "format": (lambda manifest, _: manifest.update(version=2), "expected ('zoo compiled kernels', 1)"),
    "content": (
        lambda _, contents: contents.update({f"kernels/{NAMES[0]}": b"x" * 432}),
        "another digest than manifest.json lists",
    ),
    "kernel under another name": (
        lambda manifest, contents: rename(manifest, contents, NAMES[0], f"backward-{'0' * 40}.kernel"),
        "another digest",
    ),
    "path": (
        lambda manifest, contents: rename(manifest, contents, NAMES[0], f"../../up-{'0' * 40}.kernel"),
        "is not the name of a kernel",
    ),
    "hidden file": (
        lambda manifest, contents: rename(manifest, contents, NAMES[0], f".bashrc-{'0' * 40}.kernel"),
        "is not the name of a kernel",
    ),
    "unlisted entry": (lambda _, contents: contents.update({"../evil.py": b"x"}), "lists other files"),
    "missing entry": (lambda _, contents: contents.pop(f"kernels/{NAMES[1]}"), "lists other files"),
    "no digest": (lambda manifest, _: manifest["files"][NAMES[0]].pop("sha256"), "no digest"),
    "no kernels": (lambda manifest, _: manifest.update(files={}), "lists no kernels"),
    "size": (
        lambda manifest, _: manifest["files"][NAMES[0]].update(bytes=2**40),
        "the limit of the directory",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_archive_is_rejected_as_a_whole(caches: Caches, name: str) -> None:
    export_kernels(caches.archive)
    second = caches.use("second")
    change, message = CHANGES[name]
    edit(caches.archive, change)
    with pytest.raises((UsageError, DataError)) as caught:
        import_kernels(caches.archive)
    assert message in str(caught.value)
    assert str(caches.archive) in str(caught.value)
    assert list(second.iterdir()) == []
    assert sorted(file.name for file in caches.folder.rglob("*.kernel")) == sorted(NAMES)


def test_entry_that_occurs_twice_is_rejected(caches: Caches) -> None:
    export_kernels(caches.archive)
    with zipfile.ZipFile(caches.archive, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(f"kernels/{NAMES[0]}", b"other")
    second = caches.use("second")
    with pytest.raises(DataError, match="an entry twice"):
        import_kernels(caches.archive)
    assert list(second.iterdir()) == []


def name_not_utf8() -> bytes:
    """A zip file with an entry whose name is marked as UTF-8 and is not."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("\N{LATIN SMALL LETTER E WITH ACUTE}", b"")
    return file.getvalue().replace(b"\xc3\xa9", b"\xff\xff")


def test_other_compression_is_rejected(caches: Caches) -> None:
    """Each method has its own errors, and export uses one."""
    with zipfile.ZipFile(caches.archive, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("manifest.json", "{}")
    with pytest.raises(DataError, match="is damaged: an entry is compressed in another way"):
        import_kernels(caches.archive)


def test_truncated_and_other_files(caches: Caches) -> None:
    export_kernels(caches.archive)
    data = caches.archive.read_bytes()
    second = caches.use("second")
    flipped = bytearray(data)
    flipped[60] ^= 255  # in the first compressed file
    shifted = data[:-6] + len(data).to_bytes(4, "little") + data[-2:]  # the first file is before the start
    for content in (
        data[: len(data) // 2],
        data[:-1],
        b"",
        b"no zip file",
        bytes(flipped),
        shifted,
        name_not_utf8(),
    ):
        caches.archive.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            import_kernels(caches.archive)
    with zipfile.ZipFile(caches.archive, "w") as archive:
        archive.writestr("readme.txt", "a zip file of something else")
    with pytest.raises(DataError, match=r"it has no manifest\.json"):
        import_kernels(caches.archive)
    caches.archive.unlink()
    with pytest.raises(
        CheckpointError, match="no such file or directory; give a file of `zoo cache export FILE`"
    ):
        import_kernels(caches.archive)
    assert list(second.iterdir()) == []


def test_empty_cache_cannot_be_exported(caches: Caches) -> None:
    directory = caches.use("second")
    with pytest.raises(UsageError, match=f"{directory} has no kernels; `zoo cache build`"):
        export_kernels(caches.archive)
    assert not caches.archive.exists()
