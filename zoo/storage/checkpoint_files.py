"""The checkpoint files of one run, pointers to the last and the best, and recovery of damaged ones.

A pointer is a small JSON file with the name and the sha256 of a checkpoint file. It is not a symbolic link,
which Windows, archives and copies lose.

The order of writes, each of them atomic and durable (`zoo.storage.atomic`), for a checkpoint of step ``n``:

1. The log: all events up to step ``n``, its validation included.
2. ``step-n.safetensors``.
3. ``best.json``, if this checkpoint is the best so far.
4. ``last.json``: the commit.
5. Pruning: files that no pointer names and that are older than the last few.

A resumed run starts from the checkpoint that ``last`` names. A kill leaves one of these states:

- Before 4, with a ``last``: the run resumes from the checkpoint before, drops the later events from the log,
  and repeats the steps. ``best`` may name the uncommitted file. Nothing was pruned, so the best checkpoint
  of the committed state still has its file, and `resume` points ``best`` back to it.
- Before 4, without a ``last``, which is the first checkpoint: the run resumes from this file, although it is
  uncommitted, and `resume` writes both pointers. Without that, ``best`` would stay missing until a later
  validation is better, and pruning would remove the best file.
- Before or during 5: `resume` prunes again.

`resume` itself follows the same order, so a kill during a resume leaves one of these states again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from zoo.errors import CheckpointError
from zoo.storage.atomic import entries, remove, write_json
from zoo.storage.checkpoint import Checkpoint, digest, is_digest, load, save
from zoo.storage.safe_read import exists, read_json
from zoo.storage.strict_json import quote

MAX_STEP: Final = 10**18 - 1

_STEP_FILE = re.compile(r"step-([0-9]{8,18})\.safetensors")


@dataclass(frozen=True)
class Pointer:
    """A reference to one checkpoint file in the directory of the pointer.

    Attributes:
        file: The name of the file, such as ``step-00001200.safetensors``.
        sha256: The digest of its content.
        step: The step it was saved at.
    """

    file: str
    sha256: str
    step: int


def step_file(step: int) -> str:
    """The file name of a step."""
    return f"step-{step:08d}.safetensors"


def step_of(name: str) -> int | None:
    """The step of a checkpoint file name; None for any other name."""
    match = _STEP_FILE.fullmatch(name)
    step = int(match[1]) if match else -1
    return step if step_file(step) == name else None


def write_pointer(path: Path, pointer: Pointer) -> None:
    """Write ``pointer`` to ``path`` atomically; raises `CheckpointError`."""
    write_json(path, asdict(pointer))


def read_pointer(path: Path) -> Pointer:
    """Read the pointer at ``path``.

    Raises:
        CheckpointError: It is missing, unreadable, or not exactly a pointer.
    """
    values = read_json(path)
    file, sha256, step = values.get("file"), values.get("sha256"), values.get("step")
    # Not isinstance: JSON's true is an int in Python. The name is a plain one, so it leaves no directory.
    if values.keys() != {"file", "sha256", "step"} or type(step) is not int or not isinstance(file, str):
        raise CheckpointError(f"{path} is damaged: it is not exactly file, sha256 and step.")
    if not is_digest(sha256) or step_of(file) != step:
        raise CheckpointError(
            f"{path} is damaged: {quote(file)} is not the file of step {step} with a sha256."
        )
    return Pointer(file, sha256, step)


def load_verified(path: Path, sha256: str | None) -> Checkpoint:
    """Load the checkpoint at ``path`` and compare its digest with ``sha256``, unless that is None.

    Raises:
        CheckpointError: As `zoo.storage.load`, or the digest differs.
    """
    checkpoint = load(path)
    if sha256 is not None and digest(checkpoint) != sha256:
        raise CheckpointError(f"cannot load {path}: it holds another checkpoint than its pointer names.")
    return checkpoint


Report = Callable[[str], None]

LAST = "last.json"

BEST = "best.json"


def list_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of every checkpoint file in ``folder``, sorted by step; empty without the folder."""
    steps = [(step_of(path.name), path) for path in entries(folder)]
    return sorted((step, path) for step, path in steps if step is not None)


def save_checkpoint(folder: Path, step: int, checkpoint: Checkpoint, *, best: bool) -> Path:
    """Write the file of a step, then the pointers, ``last`` at the end; return the path of the file."""
    path = folder / step_file(step)
    pointer = Pointer(path.name, save(path, checkpoint), step)
    if best or _possible_best_steps(folder) == {
        step
    }:  # written again, the best stays the best, with its new sha256
        write_pointer(folder / BEST, pointer)
    write_pointer(folder / LAST, pointer)
    return path


def repair_pointers(
    folder: Path, step: int, checkpoint: Checkpoint, *, best_step: int | None, report: Report
) -> None:
    """Point ``last`` to the checkpoint that a run resumes from, and ``best`` to its best one.

    Args:
        folder: The directory of the checkpoint files.
        step: The step of the checkpoint, as `load_last` returned it.
        checkpoint: Its content.
        best_step: The step of the best checkpoint up to this one; None before the first validation.
        report: Called with a message when the best checkpoint is damaged.

    Raises:
        CheckpointError: A pointer could not be written.
    """
    last = Pointer(step_file(step), digest(checkpoint), step)
    best = last if best_step == step else _pointer_to(folder, best_step, report)
    for path, pointer in ((folder / BEST, best), (folder / LAST, last)):
        if pointer is not None and _pointer_or_none(path) != pointer:
            write_pointer(path, pointer)


def prune(folder: Path, step: int, *, keep: int, keep_steps: set[int]) -> None:
    """Remove the files up to ``step`` except the last ``keep``, the best, and the files of ``keep_steps``."""
    keep_steps = _possible_best_steps(folder) | keep_steps
    until_now = [(number, path) for number, path in list_checkpoints(folder) if number <= step]
    for number, path in until_now[:-keep]:
        if number not in keep_steps:
            remove(path)


def load_last(folder: Path, report: Report) -> tuple[int, Checkpoint] | None:
    """Load the checkpoint that ``last`` names or, when that is damaged, the newest valid one.

    Args:
        folder: The directory of the checkpoint files.
        report: Called with a message for each damaged file or pointer.

    Returns:
        Step and checkpoint; None when there is no checkpoint.

    Raises:
        CheckpointError: There are checkpoints, and none is valid.
    """
    problems: list[str] = []
    for step, path, sha256 in _candidates(folder, problems):
        try:
            checkpoint = load_verified(path, sha256)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            report(f"{problem} The checkpoint of step {step} ({path.name}) is used instead.")
        return step, checkpoint
    if problems:
        raise CheckpointError(
            f"no checkpoint in {folder} is valid ({len(list_checkpoints(folder))} files tried); "
            f"restore the directory from a backup or begin a new run. The first problem: {problems[0]}"
        )
    return None


def load_best(folder: Path, report: Report) -> tuple[int, Checkpoint] | None:
    """Load the checkpoint that ``best`` names; when that is missing or damaged, use `load_last`."""
    try:
        pointer = read_pointer(folder / BEST)
        return pointer.step, load_verified(folder / pointer.file, pointer.sha256)
    except CheckpointError as error:
        problem = str(error)
    if not exists(folder / BEST):
        problem = f"{folder.parent} has no best checkpoint, because no validation has finished."
    last = load_last(folder, report)
    if last is not None:
        report(f"{problem} The last checkpoint, of step {last[0]}, is used instead of the best.")
    return last


def _candidates(folder: Path, problems: list[str]) -> Iterator[tuple[int, Path, str | None]]:
    """Yield step, path and known sha256 of the files to try, in order; add a bad pointer to ``problems``.

    First the file that ``last`` names; then older ones, newest first; then later ones, which a run that was
    resumed from an earlier step has abandoned. At the end again the named file, without its sha256: a writer
    killed between an overwritten step file and its pointer leaves a valid file with another digest.
    """
    newest_first = list_checkpoints(folder)[::-1]
    pointer = _read_last(folder, problems, needed=bool(newest_first))
    if pointer is None:
        yield from ((step, path, None) for step, path in newest_first)
        return
    yield pointer.step, folder / pointer.file, pointer.sha256
    yield from ((step, path, None) for step, path in newest_first if step < pointer.step)
    yield from ((step, path, None) for step, path in newest_first if step > pointer.step)
    yield pointer.step, folder / pointer.file, None


def _read_last(folder: Path, problems: list[str], *, needed: bool) -> Pointer | None:
    if not needed and not exists(folder / LAST):
        return None
    try:
        return read_pointer(folder / LAST)
    except CheckpointError as error:
        problems.append(str(error))
        return None


def _pointer_or_none(path: Path) -> Pointer | None:
    try:
        return read_pointer(path)
    except CheckpointError:
        return None


def _pointer_to(folder: Path, step: int | None, report: Report) -> Pointer | None:
    """A pointer to the file of a step; None when ``best`` names it already, or no such file is valid."""
    named = _pointer_or_none(folder / BEST)
    if step is None or (named is not None and named.step == step):
        return None
    path = folder / step_file(step)
    if not exists(path):
        return None
    try:
        return Pointer(path.name, digest(load(path)), step)
    except CheckpointError as error:
        report(f"{error} The best checkpoint, of step {step}, cannot be restored.")
        return None


def _possible_best_steps(folder: Path) -> set[int]:
    """The step that ``best`` names; all steps when it is damaged, since it may be any."""
    if not exists(folder / BEST):
        return set()
    try:
        return {read_pointer(folder / BEST).step}
    except CheckpointError:
        return {step for step, _ in list_checkpoints(folder)}
