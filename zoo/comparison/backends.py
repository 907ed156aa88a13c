"""Where the jobs of a comparison are done: on this machine, or by the workers of a Dask cluster."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from urllib.parse import urlsplit

from zoo.arguments import short_repr
from zoo.errors import UsageError

LOCAL, DASK, SLURM = "local", "dask", "slurm"

_PROTOCOLS = {"dask": "tcp", "dask+tls": "tls"}
_NEEDS = {DASK: ("distributed", "dask"), SLURM: ("dask_jobqueue", "slurm")}
"""What has to be installed, and the extra that brings it."""


@dataclass(frozen=True)
class Place:
    """Where jobs are done.

    Args:
        kind: ``"local"``; ``"dask"`` for a scheduler that is there; ``"slurm"`` for one of our own, whose
            workers are jobs of SLURM.
        address: Of the scheduler, as Dask writes it.
    """

    kind: str = LOCAL
    address: str = ""


def find_place(on: str | None) -> Place:
    """The place that ``on`` names.

    Args:
        on: ``"local"``, ``"dask://HOST:PORT"``, ``"dask+tls://HOST:PORT"`` ``"dask+slurm"``; None for here.

    Raises:
        UsageError: if it is none of these, or what it needs is not installed.
    """
    if on is None or (isinstance(on, str) and on == LOCAL):
        return Place()
    if not isinstance(on, str):
        raise UsageError(f"compare: on is {short_repr(on)}; expected a string, as in 'local'.")
    place = Place(SLURM) if on == "dask+slurm" else Place(DASK, _address(on))
    module, extra = _NEEDS[place.kind]
    if importlib.util.find_spec(module) is None:
        raise UsageError(
            f"compare: {on} needs {module.replace('_', '-')}; pip install 'recurrent-zoo[{extra}]' brings it."
        )
    return place


def _address(on: str) -> str:
    """The address of a scheduler, as Dask writes it."""
    try:
        parts = urlsplit(on)
        protocol, host, port = _PROTOCOLS.get(parts.scheme), parts.hostname, parts.port
    except ValueError:  # a port beyond 65535, half an IPv6 address
        protocol = host = port = None
    if not (protocol and host and port) or on != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise UsageError(
            f"compare: on is {on!r}; expected local, dask+slurm, or dask://HOST:PORT with the address of a "
            f"Dask scheduler."
        )
    return f"{protocol}://{parts.netloc}"


def check_jobs(place: Place, jobs: int | None) -> None:
    """Refuse a number of jobs that cannot be meant.

    Raises:
        UsageError: if it is none, or not for this place.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 0):
        raise UsageError(f"compare: jobs is {jobs!r}; expected a number of processes, or 0 for none.")
    if place.kind == DASK and jobs is not None:
        raise UsageError(
            "compare: jobs is given, and so is a Dask scheduler, whose workers decide how many are done at a "
            "time; leave jobs out."
        )
    if place.kind == SLURM and not jobs:
        raise UsageError(
            "compare: dask+slurm needs to know how many jobs SLURM is to be asked for; give jobs (--jobs N)."
        )
