"""The operating system's refusals as sentences: what path, what happened, what is safe, what to do."""

from __future__ import annotations

import errno
import os

from zoo.errors import CheckpointError

StrPath = str | os.PathLike[str]

_SPACE = "free some space and try again"
_PLACE = "choose a directory that you can write to"

# errno -> (what happened, what to do), for writing.
_WRITING = {
    errno.ENOSPC: ("no space is left on the device", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: (
        "the file would be larger than the limit allows",
        "raise the limit (ulimit -f) and try again",
    ),
    errno.EROFS: ("the file system is read-only", _PLACE),
    errno.EACCES: ("permission is denied", _PLACE),
    errno.EPERM: ("permission is denied", _PLACE),
    errno.ENOENT: ("its directory does not exist", "create the directory first"),
    errno.ENOTDIR: ("a part of the path is a file, not a directory", _PLACE),
    errno.EISDIR: ("a directory of that name is in the way", "move it away or choose another name"),
    errno.EEXIST: ("a file of that name is in the way", "move it away or choose another name"),
}

# The same for reading, where a missing or unreadable file asks for something else.
_READING = {
    errno.ENOENT: ("it does not exist", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a directory", "check the path"),
    errno.EACCES: ("permission is denied", "make it readable for you"),
    errno.EPERM: ("permission is denied", "make it readable for you"),
}


def cannot_write(path: StrPath, error: OSError) -> CheckpointError:
    """The error for a write that failed before it changed anything that was there."""
    what, remedy = _explain(error, _WRITING)
    return CheckpointError(f"cannot write {path}: {what}. What was there before is untouched; {remedy}.")


def cannot_confirm(path: StrPath, error: OSError) -> CheckpointError:
    """The error for a file that is in place, whole, but perhaps not yet on the disk itself."""
    what, remedy = _explain(error, _WRITING)
    return CheckpointError(
        f"Wrote {path}, but the system did not confirm that its name is on disk: {what}. "
        f"After a power cut the previous file may be back; {remedy}."
    )


def cannot_remove(path: StrPath, error: OSError) -> CheckpointError:
    """The error for a file that was to be removed and is still there."""
    what, _ = _explain(error, _WRITING)
    return CheckpointError(f"cannot remove {path}: {what}. Nothing else was changed; remove it by hand.")


def cannot_read(path: StrPath, error: OSError) -> CheckpointError:
    """The error for a file that could not be read at all."""
    what, remedy = _explain(error, _READING)
    return CheckpointError(f"cannot read {path}: {what}; {remedy}.")


def _explain(error: OSError, table: dict[int, tuple[str, str]]) -> tuple[str, str]:
    number = error.errno or 0
    text = error.strerror or str(error) or "the system gave no reason"
    return table.get(number, (text[:1].lower() + text[1:], "put that right and try again"))
