"""Kill runs and comparisons at random, resume them, and compare each with an undisturbed one, bit for bit.

    python tools/crash_test.py --out runs/crashes --kills 1000

Texts, tasks and comparisons are killed in forks of this process, at crash points and after random delays.
They are also killed in processes of their own, with worker processes, under MPI (single ranks), and on a Dask
cluster (workers, their job processes, the scheduler). Checkpoints, pointers and configurations have to be the
same bytes, and logs the same lines except for times. Stop the command and give it again to continue. Several
commands may share a directory if each has other scenarios in --only.

It exits with 1 if a run differs; the directory of that run is kept.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from crash_tests.campaign import SCENARIOS, Campaign


def main() -> int:
    """Run the campaign, and print a table of the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for progress and differences")
    parser.add_argument(
        "--kills", type=int, default=1000, metavar="N", help="in all scenarios together [1000]"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws moments and victims [0]")
    parser.add_argument(
        "--only", default=",".join(SCENARIOS), metavar="NAME,...", help=f"of {', '.join(SCENARIOS)} [all]"
    )
    parser.add_argument("--table", action="store_true", help="kill nothing, print the table of the directory")
    arguments = parser.parse_args()
    # Started in the background by a shell, this process ignores SIGINT, and so would those that get a Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    names = arguments.only.split(",")
    if unknown := set(names) - set(SCENARIOS):
        parser.error(f"unknown scenarios: {', '.join(sorted(unknown))}; expected {', '.join(SCENARIOS)}")
    campaign = Campaign(arguments.out.absolute(), arguments.seed)
    if not arguments.table:
        for name in names:
            _continue_campaign(campaign, name, -(-arguments.kills * SCENARIOS[name].share // 100))
    print(campaign.table(names))
    return int(any(each.difference for name in names for each in campaign.rounds(name)))


def _continue_campaign(campaign: Campaign, name: str, kills: int) -> None:
    done = sum(len(each.kills) for each in campaign.rounds(name))
    for round_ in campaign.run_missing(name, kills):
        done += len(round_.kills)
        print(f"{name}: {done} kills, {round_.difference or 'the same bits'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
