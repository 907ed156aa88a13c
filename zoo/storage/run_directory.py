"""Run directories: ``config.json``, ``log.jsonl``, ``checkpoints/`` and a lock for the writer."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from zoo.arguments import missing_directory
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
def exclusive_lock(path: Path, subject: str) -> Iterator[None]:
    """Hold the lock file at a path; the system releases it when the process dies.

    Args:
        path: The file, created if it is missing.
        subject: The locked thing, as the subject of an error message.

    Raises:
        CheckpointError: At once, when another process holds it or it cannot be created.
    """
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise CheckpointError(
            f"{subject} is in use by another process; wait for its end or choose another directory."
        ) from None
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


_LOCK: Final = ".lock"

PLAN_FILE: Final = "compare.json"
"""The file that makes a directory a comparison."""

_EVENTS_BEFORE_STEPS: Final = ("start", "warning", "compiling", "compiled")  # events before the first step


class RunDirectory:
    """The files of one run. Writers hold `lock`; readers need nothing, since files are replaced whole.

    Attributes:
        path: The directory.
        config_path: ``config.json``.
        log_path: ``log.jsonl``.
        corpus_path: ``corpus.safetensors``, the tokens of a text that was passed in memory.
        checkpoints_path: ``checkpoints/``, with ``step-00001200.safetensors`` and so on, ``last.json``,
            ``best.json``.
        resumed_from: The step that this run was resumed from. Pruning never removes its file.
    """

    def __init__(self, path: StrPath) -> None:
        self.path: Final = Path(path)
        self.config_path: Final = self.path / "config.json"
        self.log_path: Final = self.path / "log.jsonl"
        self.corpus_path: Final = self.path / "corpus.safetensors"
        self.checkpoints_path: Final = self.path / "checkpoints"
        self.resumed_from: int | None = None

    def holds_run(self) -> bool:
        """Whether there is a config, a log or a checkpoint."""
        return exists(self.config_path) or exists(self.log_path) or bool(self.checkpoints())

    def create(self, *, resuming: bool = False) -> None:
        """Create the directory and its parents.

        Args:
            resuming: Whether an existing run is resumed. Without one, a new run begins.

        Raises:
            CheckpointError: It holds a run and ``resuming`` is false; it holds other files and no run; it is
                not a directory; it cannot be written. Existing files are never touched.
        """
        self.check_free(resuming=resuming)
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
        """Hold the lock of the only writer, and remove temporaries of killed writers.

        Raises:
            CheckpointError: At once, when another process holds the lock or it cannot be created.
        """
        if not exists(self.path):  # filelock would create it
            raise CheckpointError(missing_directory(self.path))
        with exclusive_lock(self.path / _LOCK, f"The run directory {self.path}"):
            remove_temporaries(self.path)
            remove_temporaries(self.checkpoints_path)
            yield

    def wait_for_writer(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the lock: a writer that is stopped finishes a step and saves first."""
        if exists(self.path / _LOCK):
            with contextlib.suppress(Timeout), FileLock(self.path / _LOCK, timeout=seconds):
                pass

    def write_config(self, config: Mapping[str, object]) -> None:
        """Replace ``config.json``, atomically; raises `CheckpointError`."""
        write_json(self.config_path, dict(config))

    def read_config(self) -> dict[str, object]:
        """Read ``config.json``; raises `CheckpointError` when it is missing or not strict JSON."""
        return read_json(self.config_path)

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Step and path of every checkpoint file, sorted by step. A file may be damaged."""
        return checkpoint_files.list_checkpoints(self.checkpoints_path)

    def save(self, step: int, checkpoint: Checkpoint, *, best: bool, keep: int = 3) -> Path:
        """Write the checkpoint of a step, then the pointers, then remove old files.

        Args:
            step: The step, from 0 on.
            checkpoint: Its content.
            best: Whether it is the best so far.
            keep: Number of files up to this step that stay, at least 1. The best, the one resumed from, and
                files of later steps stay too (a run that was resumed from an earlier step has some).

        Returns:
            The path of the file.

        Raises:
            CheckpointError: Something could not be written; the existing files are intact.
            UsageError: ``step`` or ``keep`` is out of range.
        """
        if not 0 <= step <= MAX_STEP or keep < 1:
            raise UsageError(
                f"cannot save step {step} and keep {keep} files: expected step >= 0 and keep >= 1."
            )
        step = operator.index(step)  # JSON cannot store a NumPy integer
        path = checkpoint_files.save_checkpoint(self.checkpoints_path, step, checkpoint, best=best)
        keep_steps = set() if self.resumed_from is None else {self.resumed_from}
        checkpoint_files.prune(self.checkpoints_path, step, keep=keep, keep_steps=keep_steps)
        return path

    def resume(
        self, step: int, checkpoint: Checkpoint, *, best_step: int | None, report: Report, keep: int = 3
    ) -> None:
        """Resume from a checkpoint that `load_last` returned: repair the pointers and prune.

        Args:
            step: Its step.
            checkpoint: Its content.
            best_step: The step of the best checkpoint up to this one; None before the first validation.
            report: Called with a message when the best checkpoint is damaged.
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
        """Load the last checkpoint, or the newest valid one when that is damaged.

        Args:
            report: Called with a message for each damaged file or pointer.

        Returns:
            Step and checkpoint; None when the run has no checkpoint.

        Raises:
            CheckpointError: There are checkpoints, and none is valid.
        """
        return checkpoint_files.load_last(self.checkpoints_path, report)

    def load_best(self, report: Report) -> tuple[int, Checkpoint] | None:
        """Load the best checkpoint; if that fails, report it and use `load_last`."""
        return checkpoint_files.load_best(self.checkpoints_path, report)

    def append_log(self, record: Mapping[str, object]) -> None:
        """Append a record to ``log.jsonl``; NaN and infinity become the strings ``"nan"`` and ``"inf"``."""
        log.append(self.log_path, record)

    def read_log(self) -> list[dict[str, object]]:
        """Read ``log.jsonl``; a torn last line is ignored, a bad line before it raises `CheckpointError`."""
        return log.read(self.log_path)

    def truncate_log(self, step: int, *, without: Collection[str] = ()) -> None:
        """Atomically drop the records of steps after ``step`` and those of some events.

        Records without a step stay.
        """
        log.truncate(self.log_path, step, without)

    def discard(self, *, remove_directory: bool) -> None:
        """Remove a run without a checkpoint and without a record of a step, an evaluation or divergence.

        The caller holds the lock.

        Args:
            remove_directory: Whether to remove the directory, too, if it is empty then.

        Raises:
            CheckpointError: Something could not be removed.
        """
        if self.checkpoints() or any(
            record.get("event") not in _EVENTS_BEFORE_STEPS for record in self.read_log()
        ):
            return
        try:
            for path in (self.config_path, self.log_path, self.corpus_path, self.path / _LOCK):
                path.unlink(missing_ok=True)
            for path in (self.checkpoints_path, *([self.path] if remove_directory else [])):
                if not entries(path):
                    path.rmdir()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def check_free(self, *, resuming: bool = False) -> None:
        """Check that a run can start here, or one be resumed; raises `CheckpointError`."""
        if self.holds_run():
            if not resuming:
                raise CheckpointError(
                    f"the directory {self.path} already holds a run; set `resume`, or choose another `out`."
                )
        elif foreign := [path.name for path in entries(self.path) if not self._is_ours(path)]:
            if PLAN_FILE in foreign:
                raise CheckpointError(
                    f"the directory {self.path} holds a comparison of `zoo compare`; choose an empty or new "
                    f"directory."
                )
            raise CheckpointError(
                f"the directory {self.path} is not empty and holds no run ({len(foreign)} entries, such as "
                f"{foreign[0]!r}); choose an empty or new directory."
            )

    def _is_ours(self, path: Path) -> bool:
        """Whether a run that was killed before its first write may have left ``path``."""
        if path == self.checkpoints_path:
            return all(is_temporary(inner) for inner in entries(path))
        return path in (self.path / _LOCK, self.corpus_path) or is_temporary(path)


class ReadOnlyRunDirectory(RunDirectory):
    """A run directory that another process writes: reads work, writes do nothing."""

    def write_config(self, config: Mapping[str, object]) -> None:
        """Do nothing."""

    def save(self, step: int, checkpoint: Checkpoint, *, best: bool, keep: int = 3) -> Path:  # noqa: ARG002
        """Do nothing, and return the path of the directory."""
        return self.path

    def append_log(self, record: Mapping[str, object]) -> None:
        """Do nothing."""

    def truncate_log(self, step: int, *, without: Collection[str] = ()) -> None:
        """Do nothing."""

    def resume(
        self,
        step: int,
        checkpoint: Checkpoint,  # noqa: ARG002
        *,
        best_step: int | None,  # noqa: ARG002
        report: Report,  # noqa: ARG002
        keep: int = 3,  # noqa: ARG002
    ) -> None:
        """Store the step only."""
        self.resumed_from = step
