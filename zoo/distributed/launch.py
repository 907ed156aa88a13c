"""Whether this process was started as one of several, and what becomes of the others when it ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.distributed.process_group import Crew

# Launcher -> its variables for the number of processes, and for the number of this one.
LAUNCHERS = {
    "MPICH, Intel MPI": ("PMI_SIZE", "PMI_RANK"),
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "MVAPICH": ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
}

_formed: list[Crew] = []


def crew() -> Crew:
    """The processes that train together: the ranks of the MPI job that this one belongs to, or it alone.

    Raises:
        UsageError: if it belongs to a job, and mpi4py is missing.
    """
    from zoo.distributed.process_group import SOLO

    if _launched() == 1:
        return SOLO
    if not _formed:
        try:
            from zoo.distributed.mpi import Ranks
        except (ImportError, RuntimeError) as error:  # no mpi4py, or no library of MPI
            raise UsageError(
                f"this is one of {_launched()} processes that train together, and MPI cannot be loaded "
                f"({str(error).partition(chr(10))[0]}); pip install 'recurrent-zoo[mpi]', or start a single "
                f"process."
            ) from None
        _formed.append(Ranks())
    return _formed[0]


def rank_of_launch() -> int:
    """Which process of its job this one is, from 0, told without MPI."""
    return max((_number(rank) for _, rank in LAUNCHERS.values()), default=0)


def leave() -> None:
    """End the whole job, if this process fails while others wait for it."""
    for each in _formed:
        each.abort(1)


def _launched() -> int:
    return max(1, *(_number(size) for size, _ in LAUNCHERS.values()))


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0
