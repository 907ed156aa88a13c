"""A lock on a directory, which the system releases when its holder dies.

A run directory: ``config.json``, ``log.jsonl`` and ``checkpoints/``.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from zoo.errors import CheckpointError, UsageError
from zoo.storage import checkpoint_files, log
from zoo.storage.atomic import (
    check_writable,
    entries,
    fsync_directory,
    is_temporary,
    remove_temporaries,
    write_json,
)
from zoo.storage.checkpoint import Checkpoint
from zoo.storage.checkpoint_files import MAX_STEP, Report
from zoo.storage.safe_read import StrPath, cannot_write, exists, read_json


@contextmanager
def exclusive_lock(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file at a path.

    Args:
        path: The file, made if it is not there.
        what: What it locks, in words that begin a sentence.

    Raises:
        CheckpointError: At once, when somebody else holds it or it cannot be made.
    """
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise CheckpointError(
            f"{what} is in use by another process; wait for its end or choose another directory."
        ) from None
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


_LOCK: Final = ".lock"

_EVENTS_BEFORE_STEPS: Final = ("start", "warning", "compiling", "compiled")  # events before the first step


class RunDirectory:
    """The files of one run. Writers hold `lock`; readers need nothing, since files are replaced whole.

    Attributes:
        path: The directory.
        config_path: ``config.json``.
        log_path: ``log.jsonl``.
        checkpoints_path: ``checkpoints/``, with ``step-00001200.safetensors`` and so on, ``last.json``,
            ``best.json``.
        resumed_from: The step that this run was resumed from, which pruning never removes; see `resume`.
    """

    def __init__(self, path: StrPath) -> None:
        self.path: Final = Path(path)
        self.config_path: Final = self.path / "config.json"
        self.log_path: Final = self.path / "log.jsonl"
        self.checkpoints_path: Final = self.path / "checkpoints"
        self.resumed_from: int | None = None

    def holds_run(self) -> bool:
        """Whether a run was begun here: there is a config, a log or a checkpoint."""
        return exists(self.config_path) or exists(self.log_path) or bool(self.checkpoints())

    def create(self, *, resuming: bool = False) -> None:
        """Make the directory, with its parents, ready for a run.

        Args:
            resuming: Whether a run that is here already is to go on. Where none is, one may begin.

        Raises:
            CheckpointError: It holds a run and ``resuming`` is false; it holds other files and no run; it is
                no directory; it cannot be written. Nothing that was there is touched.
        """
        self._check_free(resuming)
        try:
            self.checkpoints_path.mkdir(parents=True, exist_ok=True)
            fsync_directory(self.path)
            fsync_directory(self.path.parent)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        check_writable(self.path)
        check_writable(self.checkpoints_path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer here; what killed writers left half written is removed on entry.

        Raises:
            CheckpointError: At once, when somebody else holds the lock or it cannot be made.
        """
        if not exists(self.path):  # filelock would make it
            raise CheckpointError(f"The run directory {self.path} does not exist; create it first.")
        with exclusive_lock(self.path / _LOCK, f"The run directory {self.path}"):
            remove_temporaries(self.path)
            remove_temporaries(self.checkpoints_path)
            yield

    def wait_for_writer(self, seconds: float) -> None:
        """Wait until nobody holds the lock, so many seconds at most.

        Whoever is asked to stop finishes a step and saves before it lets go.
        """
        if exists(self.path / _LOCK):
            with contextlib.suppress(Timeout), FileLock(self.path / _LOCK, timeout=seconds):
                pass

    def write_config(self, config: Mapping[str, object]) -> None:
        """Replace ``config.json``, atomically; raises `CheckpointError`."""
        write_json(self.config_path, dict(config))

    def read_config(self) -> dict[str, object]:
        """The object in ``config.json``; raises `CheckpointError` when it is missing or not strict JSON."""
        return read_json(self.config_path)

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Step and path of every checkpoint file, by step. Whether one is valid, only loading it tells."""
        return checkpoint_files.list_checkpoints(self.checkpoints_path)

    def save(self, step: int, checkpoint: Checkpoint, *, best: bool, keep: int = 3) -> Path:
        """Write the checkpoint of a step, then the pointers, then remove old files.

        Args:
            step: The step, from 0 on.
            checkpoint: What to write.
            best: Whether it is the best so far.
            keep: How many files up to this step stay, at least 1. Besides stay the best, the one resumed
                from, and files of later steps (there are some after a run was resumed from an earlier one).

        Returns:
            The path of the file.

        Raises:
            CheckpointError: Something could not be written; all that was there before is there and valid.
            UsageError: ``step`` or ``keep`` is out of range.
        """
        if not 0 <= step <= MAX_STEP or keep < 1:
            raise UsageError(
                f"cannot save step {step} and keep {keep} files: expected step >= 0 and keep >= 1."
            )
        step = operator.index(step)  # a NumPy integer is one too, but JSON does not know it
        path = checkpoint_files.save_checkpoint(self.checkpoints_path, step, checkpoint, best=best)
        protected = set() if self.resumed_from is None else {self.resumed_from}
        checkpoint_files.prune(self.checkpoints_path, step, keep=keep, keep_steps=protected)
        return path

    def resume(
        self, step: int, checkpoint: Checkpoint, *, best_step: int | None, report: Report, keep: int = 3
    ) -> None:
        """Go on from a checkpoint that `load_last` returned: restore what a killed writer left undone.

        Args:
            step: Its step.
            checkpoint: Its content.
            best_step: The step of the best checkpoint up to this one; None before the first validation.
            report: Called with a sentence when the best checkpoint is damaged.
            keep: As for `save`.

        Raises:
            CheckpointError: A pointer could not be written, or a file not removed.
        """
        self.resumed_from = step
        checkpoint_files.repair_pointers(
            self.checkpoints_path, step, checkpoint, best_step=best_step, report=report
        )
        checkpoint_files.prune(self.checkpoints_path, step, keep=keep, keep_steps={step})

    def load_last(self, report: Report) -> tuple[int, Checkpoint] | None:
        """Step and checkpoint of the last save, or of the newest valid one when that is damaged.

        Args:
            report: Called with a sentence for each file or pointer that is damaged: which, why, what is used
                instead.

        Returns:
            None when the run has no checkpoint.

        Raises:
            CheckpointError: There are checkpoints, and none is valid.
        """
        return checkpoint_files.load_last(self.checkpoints_path, report)

    def load_best(self, report: Report) -> tuple[int, Checkpoint] | None:
        """Step and checkpoint of the best save, or else (with a report) what `load_last` gives."""
        return checkpoint_files.load_best(self.checkpoints_path, report)

    def append_log(self, record: Mapping[str, object]) -> None:
        """Add a line to ``log.jsonl``; NaN and infinity become the strings ``"nan"``, ``"inf"`` and so on."""
        log.append(self.log_path, record)

    def read_log(self) -> list[dict[str, object]]:
        """The records of ``log.jsonl``; a torn last line is none, a bad one before it a `CheckpointError`."""
        return log.read(self.log_path)

    def truncate_log(self, step: int, *, without: Collection[str] = ()) -> None:
        """Drop, atomically, the records of steps after ``step`` and those of some events.

        Records without a step stay.
        """
        log.truncate(self.log_path, step, without)

    def discard(self, *, remove_directory: bool) -> None:
        """Remove a run that failed before its first record of a step, an evaluation or divergence.

        A run with such a record or with a checkpoint stays. The caller holds the lock.

        Args:
            remove_directory: Whether to remove the directory, too, unless it holds something else.

        Raises:
            CheckpointError: Something could not be removed.
        """
        if self.checkpoints() or any(
            record.get("event") not in _EVENTS_BEFORE_STEPS for record in self.read_log()
        ):
            return
        try:
            for path in (self.config_path, self.log_path, self.path / _LOCK):
                path.unlink(missing_ok=True)
            for path in (self.checkpoints_path, *([self.path] if remove_directory else [])):
                if not entries(path):
                    path.rmdir()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _check_free(self, resuming: bool) -> None:
        if self.holds_run():
            if not resuming:
                raise CheckpointError(
                    f"The directory {self.path} already holds a run; resume it or choose another directory."
                )
        elif foreign := [path.name for path in entries(self.path) if not self._is_ours(path)]:
            raise CheckpointError(
                f"The directory {self.path} is not empty and holds no run ({len(foreign)} entries, such as "
                f"{foreign[0]!r}); choose an empty or new directory."
            )

    def _is_ours(self, path: Path) -> bool:
        """Whether a run that died before its first write may have left ``path``."""
        if path == self.checkpoints_path:
            return all(is_temporary(inner) for inner in entries(path))
        return path.name == _LOCK or is_temporary(path)


class ReadOnlyRunDirectory(RunDirectory):
    """A run directory that another process writes: one reads as ever, and drops what one would write."""

    def write_config(self, config: Mapping[str, object]) -> None:
        """Nothing."""

    def save(self, step: int, checkpoint: Checkpoint, *, best: bool, keep: int = 3) -> Path:  # noqa: ARG002
        """Nothing; the path of the directory."""
        return self.path

    def append_log(self, record: Mapping[str, object]) -> None:
        """Nothing."""

    def truncate_log(self, step: int, *, without: Collection[str] = ()) -> None:
        """Nothing."""

    def resume(
        self,
        step: int,
        checkpoint: Checkpoint,  # noqa: ARG002
        *,
        best_step: int | None,  # noqa: ARG002
        report: Report,  # noqa: ARG002
        keep: int = 3,  # noqa: ARG002
    ) -> None:
        """Only note the step."""
        self.resumed_from = step
