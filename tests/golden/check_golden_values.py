"""Compute the golden values again, by the references and the official code, and compare them with the files.

    OFFICIAL_CODE=code python tests/golden/check_golden_values.py [CASE or CELL ...]

needs the packages and the clones of ``make_cells.py``. For each case it prints the largest difference from
``cells/<case>.npz`` or ``blocks/<case>.npz``, relative to values above one, or the clone that it lacks. The
exit status is 1 if a difference is larger than 1e-12, if a clone is missing, or if no case has a given name.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from make_cells import HERE, cases, golden
from official import MissingCloneError

LIMIT = 1e-12


def largest_difference(new: np.ndarray, old: np.ndarray) -> float:
    """Largest difference of two arrays, relative to values above one; infinite for other shapes or NaN."""
    if new.shape != old.shape or not (np.isfinite(new).all() and np.isfinite(old).all()):
        return np.inf
    return float(np.max(np.abs(new - old) / np.maximum(1, np.abs(old)), initial=0))


def main(chosen: list[str]) -> int:
    """Compare the given cases, or all, and return the exit status."""
    torch.set_default_dtype(torch.float64)
    differing = missing = compared = 0
    for folder, case, cell, reference in cases(chosen):
        compared += 1
        with np.load(HERE / folder / f"{case}.npz") as saved:
            old = {name: saved[name] for name in saved.files if name not in ("options", "made_with")}
        try:
            new = golden(case, cell, reference)
        except MissingCloneError as error:
            print(f"{folder}/{case:28} {error}", flush=True)
            missing += 1
            continue
        worst = (
            max(largest_difference(new[name], old[name]) for name in new) if set(new) == set(old) else np.inf
        )
        differing += worst > LIMIT
        print(f"{folder}/{case:28} {worst:.1e}", flush=True)
    if differing or missing:
        print(f"{differing} cases differ by more than {LIMIT:g}, {missing} lack a clone", file=sys.stderr)
    if not compared:
        print(f"no case has the name {' or '.join(chosen)}", file=sys.stderr)
    return int(differing + missing > 0 or not compared)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
