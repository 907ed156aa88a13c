"""The engine without processes: jobs one after the other, in this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from zoo.comparison.jobs import Job, Record, Tell
from zoo.comparison.work import run_job


class Inline:
    """Does jobs in this process, where cells that only this program knows can be compared too.

    Args:
        root: Directory of the comparison.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def map(self, jobs: Iterable[Job], tell: Tell) -> Iterator[tuple[Job, Record]]:
        """Every job with its record; see `Engine`."""
        for job in jobs:
            yield job, run_job(job, self.root, tell)
