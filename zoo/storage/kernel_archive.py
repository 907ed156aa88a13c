"""Archives of compiled kernels, to copy them from one machine of a user to another.

An archive is a zip file with ``manifest.json`` and the stored kernels, byte for byte. The manifest has the
versions and the processor that the kernels are for, and the SHA-256 of each file. Import compares them and
copies files: it runs and unpickles nothing. But the kernels are machine code, which runs when they are used.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from zoo.arguments import short_repr
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.kernels.cache_dir import (
    cache_directory,
    cache_limit,
    cached_files,
    is_undamaged,
    kernel_directory,
    read_owned_file,
    write_file,
)
from zoo.storage import strict_json
from zoo.storage.atomic import write_bytes
from zoo.storage.safe_read import exists, opened

_FORMAT, _VERSION = "zoo compiled kernels", 1
_MANIFEST, _FOLDER = "manifest.json", "kernels/"
_MAX_ARCHIVE_BYTES = 1 << 33
_MAX_MANIFEST_BYTES = 1 << 26
_NAME = re.compile(r"[^/\\:\x00-\x1f.][^/\\:\x00-\x1f]{0,180}-[0-9a-f]{40}\.kernel")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArchiveCounts(NamedTuple):
    """Counts of an export or import.

    Attributes:
        kernels: Number of kernels.
        size: Their size in bytes.
        already_stored: Number of kernels that were stored before the import.
    """

    kernels: int
    size: int
    already_stored: int = 0


def export_kernels(path: str | Path) -> ArchiveCounts:
    """Write all stored kernels to an archive; a file of this name is replaced.

    Raises:
        UsageError: if there are no kernels.
        CheckpointError: if the file cannot be written.
    """
    from zoo.kernels.cache import environment  # imports Numba

    kernels = {file.name: data for file in cached_files() if (data := read_owned_file(file)) is not None}
    kernels = {name: data for name, data in kernels.items() if is_undamaged(name, data)}
    if not kernels:
        raise UsageError(f"{cache_directory() / 'kernels'} has no kernels; `zoo cache build` compiles some.")
    files = {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in kernels.items()}
    manifest = {"format": _FORMAT, "version": _VERSION, "environment": environment(), "files": files}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_MANIFEST, strict_json.dumps(manifest, indent=1))
        for name, data in kernels.items():
            archive.writestr(_FOLDER + name, data)
    write_bytes(path, buffer.getvalue())
    return ArchiveCounts(len(kernels), sum(map(len, kernels.values())))


def import_kernels(path: str | Path) -> ArchiveCounts:
    """Copy the kernels of an archive to the directory of kernels. Trust its author: they are machine code.

    All files are checked before the first is copied.

    Raises:
        UsageError: if the kernels are for another processor or other versions, or exceed the limit of the
            directory, or the directory cannot be used.
        DataError: if the file is not such an archive, or damaged.
        CheckpointError: if it cannot be read.
    """
    directory = kernel_directory()
    if directory is None:
        raise UsageError(f"{cache_directory() / 'kernels'} cannot be used; `zoo doctor` names the reason.")
    if not exists(Path(path)):
        raise CheckpointError(f"{path}: no such file or directory; give a file of `zoo cache export FILE`.")
    already_stored = 0
    with _read(path) as archive:
        files = _checked_manifest(archive, path)
        size = sum(size for size, _ in files.values())
        if (limit := cache_limit()) and size > limit:
            raise UsageError(
                f"{path} has {size:,} bytes of kernels and the limit of the directory is {limit:,}; set "
                f"ZOO_CACHE_MB to at least {-(-size // 10**6)}."
            )
        for name, (length, digest) in files.items():
            _checked_kernel(archive, path, name, length, digest)
        for name, (length, digest) in files.items():
            if (directory / name).exists():
                already_stored += 1
                continue
            data = _checked_kernel(archive, path, name, length, digest)
            try:
                write_file(directory / name, data)
            except OSError as error:
                raise CheckpointError(f"cannot write {directory / name}: {error.strerror}.") from None
    return ArchiveCounts(len(files), size, already_stored)


@contextmanager
def _read(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive."""
    with opened(path, max_bytes=_MAX_ARCHIVE_BYTES) as (file, _):
        with _damage_named(path):
            archive = zipfile.ZipFile(file)
        with archive:
            yield archive


@contextmanager
def _damage_named(path: str | Path) -> Iterator[None]:
    """Within the block, which reads an archive, raise an error with the name of the file if it is damaged."""
    try:
        yield
    # OSError: a position before the start of the file. ValueError: a name that is not UTF-8.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{path} is not an archive of `zoo cache export`, or it is damaged ({error}); export or copy it "
            f"again."
        ) from None


def _checked_manifest(archive: zipfile.ZipFile, path: str | Path) -> dict[str, tuple[int, str]]:
    """Size and digest of each kernel, once the manifest fits this process and the archive."""
    entries = {info.filename: info for info in archive.infolist()}
    if _MANIFEST not in entries or entries[_MANIFEST].file_size > _MAX_MANIFEST_BYTES:
        raise DataError(f"{path} is not an archive of `zoo cache export`: it has no {_MANIFEST}.")
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in entries.values()):
        raise _damaged(path, "an entry is compressed in another way than `zoo cache export` does")
    with _damage_named(path):
        content = archive.read(_MANIFEST)
    try:
        manifest = strict_json.loads_object(content)
    except ValueError as error:
        raise _damaged(path, f"{_MANIFEST} is invalid, {error}") from None
    if manifest.get("format") != _FORMAT or manifest.get("version") != _VERSION:
        form = short_repr((manifest.get("format"), manifest.get("version")))
        raise DataError(f"{path} has the format {form}; expected {(_FORMAT, _VERSION)}.")
    _check_environment(manifest.get("environment"), path)
    listed = manifest.get("files")
    files: dict[str, tuple[int, str]] = {}
    for name, facts in listed.items() if isinstance(listed, dict) else ():
        size, digest = (facts.get("bytes"), facts.get("sha256")) if isinstance(facts, dict) else (None, None)
        if not _NAME.fullmatch(name):
            raise _damaged(path, f"{strict_json.quote(name)} is not the name of a kernel")
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise _damaged(path, f"{_MANIFEST} has no size and no digest of {strict_json.quote(name)}")
        files[name] = size, digest
    if not files or len(entries) != len(archive.infolist()):
        raise _damaged(path, f"{_MANIFEST} lists no kernels, or the archive has an entry twice")
    if {_MANIFEST, *(_FOLDER + name for name in files)} != set(entries):
        raise _damaged(path, f"{_MANIFEST} lists other files than it has")
    return files


def _check_environment(value: object, path: str | Path) -> None:
    """Compare the versions and the processor of an archive with those of this process."""
    from zoo.kernels.cache import environment  # imports Numba

    mine, theirs = environment(), value if isinstance(value, dict) else {}
    different = [name for name, value in mine.items() if theirs.get(name) != value]
    if not different:
        return
    name = different[0]
    # One difference is enough for a sentence. Features are a long text: name those that differ.
    here, there = mine[name], str(theirs.get(name, "unknown"))
    if name == "features":
        ours, others = set(here.split(",")), set(there.split(","))
        here, there = ",".join(sorted(ours - others)[:5]), ",".join(sorted(others - ours)[:5])
    rest = f" ({', '.join(different[1:])} also differ)" if len(different) > 1 else ""
    raise UsageError(
        f"the kernels in {path} are for {name} {strict_json.quote(there)}, and this process has {name} "
        f"{strict_json.quote(here)}{rest}; run `zoo cache build` here, or export them on a machine like this "
        f"one."
    )


def _checked_kernel(archive: zipfile.ZipFile, path: str | Path, name: str, size: int, digest: str) -> bytes:
    """The bytes of a kernel, if they have the listed size and digest."""
    with _damage_named(path), archive.open(_FOLDER + name) as file:
        data = file.read(size + 1)
    if len(data) != size or _sha256(data) != digest or not is_undamaged(name, data):
        raise _damaged(path, f"{name} has another digest than {_MANIFEST} lists")
    return data


def _damaged(path: str | Path, reason: str) -> DataError:
    return DataError(f"{path} is damaged: {reason}; export or copy it again.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
