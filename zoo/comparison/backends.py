"""Backends of a comparison: this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from urllib.parse import urlsplit

from zoo.arguments import short_repr
from zoo.errors import UsageError
from zoo.installation import install_hint

LOCAL, DASK, SLURM = "local", "dask", "slurm"

_PROTOCOLS = {"dask": "tcp", "dask+tls": "tls"}
_REQUIREMENTS = {DASK: ("distributed", "dask"), SLURM: ("dask_jobqueue", "slurm")}
"""The module that a backend needs, and the extra that installs it."""


@dataclass(frozen=True)
class Backend:
    """Location of the worker processes.

    Args:
        kind: ``"local"``; ``"dask"`` for a running scheduler; ``"slurm"`` for a scheduler in this process
            whose workers are SLURM jobs.
        address: Address of the scheduler in Dask's form.
    """

    kind: str = LOCAL
    address: str = ""


def parse_backend(on: str | None) -> Backend:
    """Parse the argument ``on``.

    Args:
        on: ``"local"``, ``"dask://HOST:PORT"``, ``"dask+tls://HOST:PORT"``, ``"dask+slurm"``; None is local.

    Raises:
        UsageError: if it is invalid, or a package that it needs is not installed.
    """
    if on is None or (isinstance(on, str) and on == LOCAL):
        return Backend()
    if not isinstance(on, str):
        raise UsageError(f"compare: on is {short_repr(on)}; expected a string, as in 'local'.")
    backend = Backend(SLURM) if on == "dask+slurm" else Backend(DASK, _parse_address(on))
    module, extra = _REQUIREMENTS[backend.kind]
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"compare: {on} needs {module.replace('_', '-')}; {install_hint(extra)} brings it.")
    return backend


def _parse_address(on: str) -> str:
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


def check_jobs(backend: Backend, jobs: int | None) -> None:
    """Check the number of jobs.

    Raises:
        UsageError: if it is not a count, or does not apply to this backend.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 0):
        raise UsageError(f"compare: jobs is {jobs!r}; expected a number of processes, or 0 for none.")
    if backend.kind == DASK and jobs is not None:
        raise UsageError(
            "compare: jobs is given together with a Dask scheduler, whose workers determine how many jobs "
            "run at a time; leave jobs out."
        )
    if backend.kind == SLURM and not jobs:
        raise UsageError("compare: dask+slurm needs the number of SLURM jobs; give jobs (--jobs N).")
