"""Data-parallel training under MPI: ``mpiexec -n 4 zoo train ...`` (docs/scaling.md).

The ranks of a job hold the same parameters, divide the shards of every batch, and sum its gradient in the
order of the shards: n ranks compute, bit for bit, what one process computes. This module finds the process
group of this process from the variables that MPI launchers set.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from zoo.errors import UsageError
from zoo.installation import install_hint

if TYPE_CHECKING:
    from zoo.distributed.collectives import ProcessGroup

# Launcher -> its variables for the number of processes and for the rank of this one.
LAUNCHERS = {
    "MPICH, Intel MPI": ("PMI_SIZE", "PMI_RANK"),
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "MVAPICH": ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
}

_mpi_groups: list[ProcessGroup] = []


def process_group() -> ProcessGroup:
    """The ranks of the MPI job of this process, or this process alone.

    Raises:
        UsageError: if the process belongs to a job and mpi4py is missing.
    """
    from zoo.distributed.collectives import SINGLE_PROCESS

    if _launched_processes() == 1:
        return SINGLE_PROCESS
    if not _mpi_groups:
        try:
            from zoo.distributed.mpi import MpiProcessGroup
        except (ImportError, RuntimeError) as error:  # no mpi4py, or no library of MPI
            raise UsageError(
                f"this is one of {_launched_processes()} processes that train together, and MPI cannot be "
                f"loaded ({str(error).partition(chr(10))[0]}); {install_hint('mpi')}, or start a "
                f"single process."
            ) from None
        _mpi_groups.append(MpiProcessGroup())
    return _mpi_groups[0]


def rank_of_launch() -> int:
    """Rank of this process in its job, without loading MPI."""
    return max((_integer_variable(rank) for _, rank in LAUNCHERS.values()), default=0)


def abort_job() -> None:
    """End the whole job, if this process fails while other ranks wait for it."""
    for group in _mpi_groups:
        group.abort(1)


def _launched_processes() -> int:
    return max(1, *(_integer_variable(size) for size, _ in LAUNCHERS.values()))


def _integer_variable(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0
