"""The checkpoint files of one run, pointers to the last and the best, and what to do when one is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from zoo.errors import CheckpointError
from zoo.storage.atomic import entries, remove
from zoo.storage.checkpoint import Checkpoint, save
from zoo.storage.pointer import Pointer, load_verified, read_pointer, step_file, step_of, write_pointer
from zoo.storage.reading import exists

Report = Callable[[str], None]

LAST = "last.json"
BEST = "best.json"


def files(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of every checkpoint file in ``folder``, by step; none when there is no folder."""
    steps = [(step_of(path.name), path) for path in entries(folder)]
    return sorted((step, path) for step, path in steps if step is not None)


def store(folder: Path, step: int, checkpoint: Checkpoint, *, best: bool) -> Path:
    """Write the file of a step, then the pointers; the path of the file.

    ``last`` comes at the very end: it is the commit. A run killed just before it resumes from the checkpoint
    before and does the same steps again, ``best`` included. In the other order ``best`` could be lost.
    """
    path = folder / step_file(step)
    pointer = Pointer(path.name, save(path, checkpoint), step)
    if best or _best_steps(folder) == {step}:  # written again, the best stays the best, with its new sha256
        write_pointer(folder / BEST, pointer)
    write_pointer(folder / LAST, pointer)
    return path


def prune(folder: Path, step: int, *, keep: int, protected: set[int]) -> None:
    """Remove the files before ``step``, but for the last ``keep``, the best, and the ``protected``."""
    until_now = [(found, path) for found, path in files(folder) if found <= step]
    stay = _best_steps(folder) | protected
    for found, path in until_now[:-keep]:
        if found not in stay:
            remove(path)


def load_last(folder: Path, report: Report) -> tuple[int, Checkpoint] | None:
    """Step and checkpoint that ``last`` names or, when that is damaged, the newest valid one.

    Args:
        folder: The directory of the checkpoint files.
        report: Called with one sentence or two for each file or pointer that was found damaged.

    Returns:
        None when there is no checkpoint.

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
            f"No checkpoint in {folder} is valid ({len(files(folder))} files tried); "
            f"restore the directory from a backup or begin a new run. The first problem: {problems[0]}"
        )
    return None


def load_best(folder: Path, report: Report) -> tuple[int, Checkpoint] | None:
    """Step and checkpoint that ``best`` names or, when that is missing or damaged, what `load_last` gives."""
    try:
        pointer = read_pointer(folder / BEST)
        return pointer.step, load_verified(folder / pointer.file, pointer.sha256)
    except CheckpointError as error:
        problem = str(error)
    found = load_last(folder, report)
    if found is not None:
        report(f"{problem} The last checkpoint, of step {found[0]}, is used instead of the best.")
    return found


def _candidates(folder: Path, problems: list[str]) -> Iterator[tuple[int, Path, str | None]]:
    """Step, path and, where known, sha256 of the files to try, in order; a bad pointer goes to ``problems``.

    First the file that ``last`` names; then older ones, newest first; then later ones, which a run that was
    resumed from an earlier step has given up. At the very end once more the named file, now without its
    sha256: a writer killed between an overwritten step file and its pointer leaves exactly that, and it is
    valid in itself.
    """
    newest_first = files(folder)[::-1]
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


def _best_steps(folder: Path) -> set[int]:
    """The step that ``best`` names; all steps when it is damaged, since it may be any."""
    if not exists(folder / BEST):
        return set()
    try:
        return {read_pointer(folder / BEST).step}
    except CheckpointError:
        return {step for step, _ in files(folder)}
