"""What a worker has to have in common with whoever leads a comparison."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TypedDict

import zoo
from zoo.comparison.plan import FILE
from zoo.errors import CheckpointError, ZooError
from zoo.storage.reading import read_json

_PATIENCE = 10.0  # seconds in which what was written on one machine is seen on the others
_TICK = 0.5


class Unfit(ZooError):
    """A worker cannot take part in a comparison; the message says why."""


class Errand(TypedDict):
    """What every job of one comparison has in common, as plain JSON.

    Attributes:
        root: Directory of the comparison.
        plan: SHA-256 of what never changes in its plan.
        version: Of zoo.
        topic: Under which events are told.
    """

    root: str
    plan: str
    version: str
    topic: str


def make_errand(root: Path, topic: str) -> Errand:
    """The errand of a comparison whose plan is written."""
    root = root.absolute()  # links stay: they may lead elsewhere on other machines
    return Errand(root=str(root), plan=_digest(root), version=zoo.__version__, topic=topic)


def objection(errand: Errand, patience: float = _PATIENCE) -> str:
    """What keeps this process from taking part, in half a sentence; empty if nothing does.

    Args:
        errand: The errand.
        patience: Seconds to wait for the files of the comparison.
    """
    if zoo.__version__ != errand["version"]:
        return f"it has zoo {zoo.__version__}, and here is {errand['version']}; install the same on both"
    due = time.monotonic() + patience
    while (found := _digest(Path(errand["root"]))) != errand["plan"]:
        if time.monotonic() > due:
            what = "holds another comparison there" if found else "holds no comparison there"
            return (
                f"{errand['root']} {what}; the directory must be one that all machines share, under the same "
                f"path"
            )
        time.sleep(_TICK)
    return ""


def _digest(root: Path) -> str:
    """SHA-256 of the plan but for what is measured later; empty if there is none."""
    try:
        plan = read_json(root / FILE)
    except CheckpointError:
        return ""
    plan.pop("settled", None)
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
