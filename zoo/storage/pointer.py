"""A pointer: a small JSON file that says which checkpoint file is meant, and by its sha256 which content.

No symbolic links: Windows, archives and copies lose them.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from zoo.errors import CheckpointError
from zoo.storage.atomic import write_json
from zoo.storage.checkpoint import Checkpoint, digest, is_digest, load
from zoo.storage.reading import read_json
from zoo.storage.strict_json import quote

MAX_STEP: Final = 10**18 - 1

_STEP_FILE = re.compile(r"step-([0-9]{8,18})\.safetensors")


@dataclass(frozen=True)
class Pointer:
    """Names one checkpoint file in the pointer's own directory.

    Attributes:
        file: The name of the file, such as ``step-00001200.safetensors``.
        sha256: The digest of its content.
        step: The step it was saved at.
    """

    file: str
    sha256: str
    step: int


def step_file(step: int) -> str:
    """The name of the file of a step."""
    return f"step-{step:08d}.safetensors"


def step_of(name: str) -> int | None:
    """The step whose file has this name, None for any other name."""
    match = _STEP_FILE.fullmatch(name)
    step = int(match[1]) if match else -1
    return step if step_file(step) == name else None


def write_pointer(path: Path, pointer: Pointer) -> None:
    """Put ``pointer`` at ``path``, atomically; raises `CheckpointError`."""
    write_json(path, asdict(pointer))


def read_pointer(path: Path) -> Pointer:
    """The pointer at ``path``.

    Raises:
        CheckpointError: It is missing, unreadable, or not exactly a pointer.
    """
    found = read_json(path)
    file, sha256, step = found.get("file"), found.get("sha256"), found.get("step")
    # Not isinstance: JSON's true is an int in Python. The name is a plain one, so it leads nowhere else.
    if found.keys() != {"file", "sha256", "step"} or type(step) is not int or not isinstance(file, str):
        raise CheckpointError(f"{path} is damaged: it is not exactly file, sha256 and step.")
    if not is_digest(sha256) or step_of(file) != step:
        raise CheckpointError(
            f"{path} is damaged: {quote(file)} is not the file of step {step} with a sha256."
        )
    return Pointer(file, sha256, step)


def load_verified(path: Path, sha256: str | None) -> Checkpoint:
    """The checkpoint at ``path``; when ``sha256`` is given, its content must be the one that it names.

    Raises:
        CheckpointError: As `zoo.storage.load`, or the file holds another checkpoint than the one meant.
    """
    checkpoint = load(path)
    if sha256 is not None and digest(checkpoint) != sha256:
        raise CheckpointError(f"cannot load {path}: it holds another checkpoint than its pointer names.")
    return checkpoint
