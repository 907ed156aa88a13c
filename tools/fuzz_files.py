"""Load damaged and hostile files, and count the cases that raise anything but an error of zoo.

    python tools/fuzz_files.py runs/fuzz --loads 100000

The directory holds the originals, the file that is being tried, and ``state.json`` with the counts. The same
command resumes. A case depends on its number alone: ``--case N`` tries
one again. The exit code is 1 if a case failed.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import zoo
from zoo.storage import Checkpoint, load, pack, unpack, write_json

TIMEOUT_S, MAX_MESSAGE = 20, 2000  # of a case, and characters of a message
HOSTILE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**400,
    0.5,
    -0.0,
    1e308,
    "",
    "a",
    "../../etc/passwd",
    "/dev/zero",
    "evil.py:Evil",
    "\x1b]0;x\x07",
    "\u202egnp",
    "\ud800",
    "x" * 5000,
    "lstm",
    "float64",
    "nan",
    [],
    {},
    [[]],
    {"": {}},
    [1, "a", None],
    {"a": 1},
    [0] * 1000,
    {"name": "gru", "options": {}},
]
Json = Any
Case = Callable[[Path, random.Random], None]


def paths(value: Json, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all nested values."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for name, item in items for inner in paths(item, (*path, name)))]


def mutated(value: Json, rng: random.Random) -> Json:
    """A copy in which up to three nested values are replaced, removed or renamed."""
    root = [json.loads(json.dumps(value))]
    for _ in range(rng.choice((1, 1, 2, 3))):
        *path, last = rng.choice(paths(root)[1:])
        inner: Any = root
        for name in path:
            inner = inner[name]
        mutation = rng.randrange(5)
        if mutation == 0 and (isinstance(inner, dict) or len(path) > 0):
            del inner[last]
        elif mutation == 1 and isinstance(inner, dict):
            inner[rng.choice(("plugins", "__proto__", "", f"{last}2"))] = inner.pop(last)
        else:
            inner[last] = copy.deepcopy(rng.choice(HOSTILE))
        root = root or [None]
    return root[0]


def dumped(value: Json) -> bytes:
    """Encode as JSON, with NaN and lone surrogates."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


# --- Cases ---


def damage_bytes(folder: Path, rng: random.Random) -> None:
    """A checkpoint with bits flipped, and bytes replaced, inserted, removed or cut off."""
    original = rng.choice(CHECKPOINTS)(folder).read_bytes()
    data = bytearray(original)
    for _ in range(rng.randint(1, 4)):
        begin = rng.randrange(len(data) + 1)
        mutation = rng.randrange(4)
        if mutation == 0:
            del data[begin:]
        elif mutation == 1 and begin < len(data):
            data[begin] ^= 1 << rng.randrange(8)
        else:
            data[begin : begin + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
    file = folder / "tried.safetensors"
    file.write_bytes(data)
    with contextlib.suppress(zoo.CheckpointError):
        assert pack(load(file)) == original, "another content was loaded"


def damage_header(folder: Path, rng: random.Random) -> None:
    """A checkpoint with a mutated JSON header."""
    original = rng.choice(CHECKPOINTS)(folder).read_bytes()
    size = int.from_bytes(original[:8], "little")
    text = dumped(mutated(json.loads(original[8 : 8 + size]), rng))
    with contextlib.suppress(zoo.CheckpointError):
        checkpoint = unpack(len(text).to_bytes(8, "little") + text + original[8 + size :], source="tried")
        assert pack(checkpoint) == original, "another content was loaded"


def damage_description(folder: Path, rng: random.Random) -> None:
    """A checkpoint with mutated metadata, sometimes other arrays, and a valid digest."""
    checkpoint = load(rng.choice(CHECKPOINTS)(folder))
    arrays = dict(checkpoint.arrays)
    if rng.random() < 0.3:
        name = rng.choice(list(arrays))
        arrays[name] = rng.choice((np.zeros((0,)), arrays[name].astype(np.float64), arrays[name][..., None]))
    meta = mutated(checkpoint.meta, rng) if rng.random() < 0.9 else checkpoint.meta
    if isinstance(meta, dict):
        with contextlib.suppress(zoo.ZooError):
            data = pack(Checkpoint(arrays, meta))
            file = folder / "tried.safetensors"
            file.write_bytes(data)
            zoo.load(file, threads=1)


def damage_run(folder: Path, rng: random.Random) -> None:
    """A run with a mutated configuration, log or pointer."""
    directory, file = _copy(
        folder, "run", rng, ("config.json", "log.jsonl", "checkpoints/last.json", "checkpoints/best.json")
    )
    if file.suffix == ".jsonl":
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        changed = mutated(lines, rng)
        events = changed if isinstance(changed, list) else [changed]
        file.write_bytes(b"".join(dumped(event) + b"\n" for event in events))
    else:
        file.write_bytes(dumped(mutated(json.loads(file.read_bytes()), rng)))
    run = zoo.Run(directory)
    for name in ("config", "history", "best_loss", "ended"):
        _attempt(lambda name=name: getattr(run, name))  # type: ignore[misc]
    _attempt(lambda: zoo.report.make_report(directory, symbols=4))


def damage_comparison(folder: Path, rng: random.Random) -> None:
    """A comparison with a mutated plan, results, or result of a run."""
    result = "runs/copying/vanilla/lr0.01-s0/result.json"
    names = ("compare.json", "results.json", "results.json", result)
    comparison, file = _copy(folder, "comparison", rng, names)
    file.write_bytes(dumped(mutated(json.loads(file.read_bytes()), rng)))
    _attempt(lambda: zoo.Comparison(comparison).table())
    _attempt(lambda: zoo.report.make_report(comparison))
    if file.name != "results.json":
        _attempt(lambda: zoo.compare(out=comparison, engine=IdleExecutor()))


class IdleExecutor:
    """An executor that runs no job."""

    def map(self, jobs: Any, on_event: Any) -> Any:  # noqa: ARG002
        """Yield nothing."""
        return iter(())


def _attempt(call: Callable[[], Any]) -> None:
    try:
        call()
    except zoo.ZooError as error:
        _check(str(error))


def _check(message: str) -> None:
    assert len(message) < MAX_MESSAGE, f"a message of {len(message)} characters"


def _copy(folder: Path, kind: str, rng: random.Random, names: tuple[str, ...]) -> tuple[Path, Path]:
    """Copy a directory; return the copy and one of its files."""
    copy_ = folder / "tried"
    shutil.rmtree(copy_, ignore_errors=True)
    shutil.copytree(folder / kind, copy_)
    return copy_, copy_ / rng.choice(names)


CHECKPOINTS: list[Callable[[Path], Path]] = [
    lambda folder: folder / "run" / "checkpoints" / "step-00000002.safetensors",
    lambda folder: folder / "model.safetensors",
    lambda folder: folder / "layers.safetensors",
]
# Fast kinds are more frequent: a hundred of their cases, or one report, take a second.
CASES: list[Case] = [
    *[damage_bytes] * 10,
    *[damage_header] * 6,
    *[damage_description] * 2,
    damage_run,
    damage_comparison,
]


# --- The campaign ---


def make_originals(folder: Path) -> None:
    """Make the files that are damaged."""
    small: dict[str, Any] = {
        "hidden": 3,
        "steps": 2,
        "threads": 1,
        "eval_every": 1,
        "sample_every": 1,
        "analyse_every": 1,
    }
    zoo.train("builtin:hello", **small, log_every=1, out=folder / "run")
    zoo.SequenceModel("lstm", 2, 3, 1).save(folder / "model.safetensors")
    zoo.LanguageModel("abc", "gru", 3, 2).save(folder / "layers.safetensors")
    sizes: dict[str, Any] = {"hidden": 2, "steps": 2, "batch": 2, "eval_batches": 1, "seeds": 2, "lr": 0.01}
    zoo.compare("vanilla", ["copying", "parity"], jobs=0, out=folder / "comparison", **sizes)


def run_case(folder: Path, number: int) -> str:
    """Run one case; return its error, or an empty text."""

    def raise_timeout(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {TIMEOUT_S} s")

    rng = random.Random(number)
    case = CASES[number % len(CASES)]
    signal.signal(signal.SIGALRM, raise_timeout)
    signal.alarm(TIMEOUT_S)
    try:
        case(folder, rng)
    except Exception as error:
        return f"{case.__name__}: {type(error).__name__}: {str(error)[:300]}"
    finally:
        signal.alarm(0)
    return ""


def main() -> int:
    """Run the campaign; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the files and the counts are kept")
    parser.add_argument("--loads", type=int, default=20_000, help="cases in all, those before included")
    parser.add_argument("--case", type=int, help="try this one alone, and show the traceback")
    arguments = parser.parse_args()
    folder = arguments.folder
    warnings.simplefilter("ignore", zoo.ZooWarning)
    if not (folder / "state.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make_originals(folder)
        write_json(folder / "state.json", {"tried": 0, "failures": []})
    if arguments.case is not None:
        CASES[arguments.case % len(CASES)](folder, random.Random(arguments.case))
        return 0
    return campaign(folder, arguments.loads)


def campaign(folder: Path, loads: int) -> int:
    """Run the cases up to a number, and store the counts."""
    state = json.loads((folder / "state.json").read_bytes())
    started, before = time.perf_counter(), state["tried"]
    while state["tried"] < loads:
        if failure := run_case(folder, state["tried"]):
            state["failures"].append([state["tried"], failure])
            sys.stdout.write(f"case {state['tried']}: {failure}\n")
        state["tried"] += 1
        if state["tried"] % 500 == 0 or state["tried"] == loads:
            write_json(folder / "state.json", state)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(
        f"{state['tried']:,} cases, {len(state['failures'])} failures; this time {state['tried'] - before:,} "
        f"in {seconds:.0f} s, peak {peak} MB\n"
    )
    return 1 if state["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
