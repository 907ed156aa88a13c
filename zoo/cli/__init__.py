"""The command line: ``zoo train``, ``zoo sample`` and the other commands."""

from __future__ import annotations

from zoo.call_stack import with_large_stack


@with_large_stack
def main() -> None:
    """Run the command line and exit: 0 done, 1 error, 2 wrong usage, 128 + n stopped by signal n."""
    from zoo.cli.standard_streams import repair_standard_streams

    repair_standard_streams()

    from zoo.cli.app import cli
    from zoo.distributed import abort_job
    from zoo.garbage_collection import reduce_collections

    reduce_collections()
    try:
        cli(prog_name="zoo")
    except SystemExit as end:
        if end.code:
            abort_job()
        raise
