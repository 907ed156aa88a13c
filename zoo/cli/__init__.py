"""The command line: ``zoo train``, ``zoo sample`` and the other commands."""

from __future__ import annotations

import gc

# Kernels and their compiler are half a million objects that stay. Searching them for garbage after every 700
# new objects, Python's default, took an eighth of the time until the first step.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def main() -> None:
    """Run the command line and exit: 0 done, 1 error, 2 wrong usage, 128 + n stopped by signal n."""
    from zoo.cli.standard_streams import repair_standard_streams

    repair_standard_streams()

    from zoo.cli.app import cli
    from zoo.distributed import abort_job

    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        cli(prog_name="zoo")
    except SystemExit as end:
        if end.code:
            abort_job()
        raise
