"""No file runs code: whatever a run, checkpoint, comparison or results file names, it is only looked up."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

import zoo
from zoo.cli.app import cli
from zoo.storage import Checkpoint, RunDirectory, load

EVIL = """
from pathlib import Path
Path({sentinel!r}).touch()
import zoo

class Evil(zoo.Cell):
    Wxh = zoo.Param("I", "H")
    h = zoo.State("H")

    def step(self, x, h):
        return x @ self.Wxh + h
"""

# --- What is called ---

# Every command that reads a run, a checkpoint, a comparison or results, with its arguments.
COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "train": (
        ("--resume", "--out", "{run}", "--quiet"),
        ("--resume", "--out", "{run}", "--steps", "3"),
        ("--config", "{run}/config.json", "--out", "{scratch}/again", "--quiet"),
    ),
    "sample": (("{run}", "--length", "2"), ("{file}", "--length", "2")),
    "eval": (("{run}",), ("{file}",)),
    "forecast": (("{run}",), ("{file}",)),
    "backtest": (("{run}",), ("{file}",)),
    "predict": (("{run}",), ("{file}",)),
    "calibrate": (
        ("{run}", "--out", "{scratch}/c.safetensors", "--force"),
        ("{file}", "--out", "{scratch}/c.safetensors", "--force"),
    ),
    "compare": (("--out", "{comparison}", "--jobs", "0", "--quiet"),),
    "export": (
        ("{run}", "--format", "c", "--out", "{scratch}/m.c", "--force"),
        ("{file}", "--format", "onnx", "--out", "{scratch}/m.onnx", "--force"),
    ),
    "bench": (("--cells", "vanilla", "--peers", "", "--compare", "{comparison}/results.json"),),
    "report": (("{run}", "--symbols", "8"), ("{comparison}",)),
    "runs": (("{run}",), ("{comparison}", "--json")),
}
READ_NONE = {
    *(
        "cells",
        "blocks",
        "modifiers",
        "tasks",
        "losses",
        "optimizers",
        "samplers",
        "trackers",
        "constraints",
        "penalties",
    ),
    *("show", "cite", "pages", "check", "new", "plugins", "doctor", "cache", "completion", "tokenize"),
}


def _read_run(path: Path) -> None:
    try:
        run = zoo.Run(path)
    except zoo.UsageError:  # no file of a run is left
        return
    for name in ("config", "history", "model", "best_loss", "ended"):
        with contextlib.suppress(zoo.ZooError):
            getattr(run, name)


def _read_comparison(path: Path) -> None:
    comparison = zoo.Comparison(path)
    for name in ("metadata", "plan", "runs", "sweep", "summary", "overall", "failures"):
        with contextlib.suppress(zoo.ZooError):
            getattr(comparison, name)
    with contextlib.suppress(zoo.ZooError):
        comparison.table()


class Place(NamedTuple):
    """A run, one of its checkpoints and a comparison that name what is evil, and a folder to write to."""

    run: Path
    file: Path
    comparison: Path
    scratch: Path


# Every public name that takes a path, with what is done with it.
PYTHON: dict[str, tuple[Callable[[Place], Any], ...]] = {
    "zoo.load": (lambda place: zoo.load(place.run), lambda place: zoo.load(place.file)),
    "zoo.Run": (lambda place: _read_run(place.run),),
    "zoo.learning_curves": (lambda place: zoo.learning_curves(place.run),),
    "zoo.train": (lambda place: zoo.train("builtin:hello", out=place.run, resume=True, hidden=2, **WATCHED),),
    "zoo.compare": (lambda place: zoo.compare(out=place.comparison, jobs=0),),
    "zoo.Comparison": (lambda place: _read_comparison(place.comparison),),
    "zoo.report.make_report": (
        lambda place: zoo.report.make_report(place.run, symbols=8),
        lambda place: zoo.report.make_report(place.comparison),
    ),
    "zoo.data.read_table": (lambda place: zoo.data.read_table(place.run / "config.json"),),
    "zoo.data.load_tokenizer": (lambda place: zoo.data.load_tokenizer(place.run / "config.json"),),
    "zoo.data.read_text": (lambda place: zoo.data.read_text(place.run / "config.json"),),
}
if importlib.util.find_spec("sklearn"):
    PYTHON["zoo.sklearn.load"] = (lambda place: zoo.sklearn.load(place.file),)
WRITE_ONLY = {
    "zoo.export.to_c",
    "zoo.export.to_html",
    "zoo.export.to_js",
    "zoo.export.to_onnx",
    "zoo.report.write_figures",
    "zoo.report.write_page",
    "zoo.report.write_paper",
}
WATCHED: dict[str, Any] = dict.fromkeys(
    ("log_every", "eval_every", "sample_every", "analyse_every", "threads"), 1
)

# --- What is noticed ---

_events: list[str] | None = None
_opened: set[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        _opened.add(Path(arguments[0]).name)
    if _events is None or event not in ("import", "exec", "compile"):
        return
    what = arguments[0].co_filename if event == "exec" else str(arguments[0 if event == "import" else 1])
    if "evil" in what.lower():
        _events.append(f"{event} {what}")


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    sys.addaudithook(_watch)  # no hook can be removed: this one sleeps outside of `executed`


@contextlib.contextmanager
def executed(sentinel: Path) -> Iterator[list[str]]:
    """Record forbidden events in the block: imports, executions, compilations, and the sentinel."""
    global _events
    _events = noticed = []
    try:
        yield noticed
    finally:
        _events = None
        noticed += [name for name in sys.modules if "evil" in name.lower()]
        noticed += [str(sentinel)] if sentinel.exists() else []


@contextlib.contextmanager
def opened() -> Iterator[set[str]]:
    """Record the names of the files that are opened in the block."""
    global _opened
    _opened = names = set()
    try:
        yield names
    finally:
        _opened = None


# --- What is attacked ---


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and a comparison, with evil as a file, a module on the path, and an entry point."""
    folder = tmp_path_factory.mktemp("foreign")
    zoo.train("builtin:hello", hidden=2, steps=2, **WATCHED, out=folder / "run")
    sizes = {"hidden": 2, "steps": 2, "batch": 2, "eval_batches": 1, "seeds": 1, "lr_grid": [0.01, 0.02]}
    zoo.compare("vanilla", "copying", jobs=0, out=folder / "comparison", **sizes)
    (folder / "evil.py").write_text(EVIL.format(sentinel=str(folder / "SENTINEL")), encoding="utf-8")
    about = folder / "evil-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[others]\nevil = evil:Evil\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder(originals: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directory from which evil can be imported. It is the working directory, too."""
    monkeypatch.syspath_prepend(originals)
    monkeypatch.chdir(originals)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # a fourth of the time
    return originals


def specs(folder: Path) -> list[str]:
    """Evil in all forms in which a program might name it."""
    file = folder / "evil.py"
    return [f"{file}:Evil", "evil.py:Evil", str(file), "evil:Evil", "evil.Evil", "evil"]


Spot = tuple[str | int, ...]


def spots(value: Any) -> list[Spot]:
    """Paths in a JSON value to strings, nulls and objects, one for each name, and to a new name."""
    return list({spot[-1] if spot else None: spot for spot in _spots(value)}.values())


def _spots(value: Any, spot: Spot = ()) -> Iterator[Spot]:
    if value is None or isinstance(value, str):
        yield spot
    elif isinstance(value, dict):
        yield from ((*spot, "plugins"), *[spot] * bool(spot))
        for name, item in value.items():
            yield from _spots(item, (*spot, name))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _spots(item, (*spot, place))


def put(value: Any, spot: Spot, text: str) -> Any:
    """The value with the text at a spot."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for name in spot[:-1]:
        inner = inner[name]
    inner[spot[-1]] = [text] if spot[-1] == "plugins" else text
    return copy


def everywhere(value: Any, text: str) -> Any:
    """The value with the text instead of every text."""
    if isinstance(value, dict):
        return {name: everywhere(item, text) for name, item in value.items()}
    if isinstance(value, list):
        return [everywhere(item, text) for item in value]
    return text if value is None or isinstance(value, str) else value


def read_meta(path: Path) -> Any:
    return load(path).meta


def write_meta(path: Path, meta: Any) -> None:
    """Another description in the last and best checkpoint, whose digests are right."""
    RunDirectory(path.parent.parent).save(2, Checkpoint(load(path).arrays, meta), best=True)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def read_log(path: Path) -> Any:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_log(path: Path, value: Any) -> None:
    path.write_text("".join(f"{json.dumps(event)}\n" for event in value), encoding="utf-8")


FILE = "run/checkpoints/step-00000002.safetensors"
RUN_IN_COMPARISON = "comparison/runs/copying/vanilla/lr0.01-s0"
FILES = {
    "run/config.json": (read_json, write_json),
    "run/log.jsonl": (read_log, write_log),
    "run/checkpoints/last.json": (read_json, write_json),
    "run/checkpoints/best.json": (read_json, write_json),
    FILE: (read_meta, write_meta),
    "comparison/compare.json": (read_json, write_json),
    "comparison/results.json": (read_json, write_json),
    f"{RUN_IN_COMPARISON}/result.json": (read_json, write_json),
    f"{RUN_IN_COMPARISON}/config.json": (read_json, write_json),
    f"{RUN_IN_COMPARISON}/log.jsonl": (read_log, write_log),
}


def calls(place: Place, kind: str) -> Iterator[Callable[[], Any]]:
    """Every command and every function that reads a run, or a comparison."""
    for name, lines in COMMANDS.items():
        for words in lines:
            if kind in "".join(words) or (kind == "run" and "{file}" in words):
                arguments = [name, *(word.format(**place._asdict()) for word in words)]
                yield lambda arguments=arguments: invoke(*arguments)  # type: ignore[misc]
    for functions in PYTHON.values():
        for function in functions:
            used = function.__code__.co_names
            if kind in used or (kind == "run" and "file" in used):
                yield lambda function=function: function(place)  # type: ignore[misc]


def invoke(*arguments: str) -> Result:
    result = CliRunner(env={"ZOO_PLUGINS": ""}).invoke(cli, arguments, prog_name="zoo")
    assert result.exception is None or isinstance(result.exception, SystemExit), "a traceback"
    return result


def copy(originals: Path, scratch: Path, kind: str) -> None:
    """Copy the run or the comparison to the folder to write to."""
    shutil.rmtree(scratch / kind, ignore_errors=True)
    shutil.copytree(originals / kind, scratch / kind)


def run_call(call: Callable[[], Any]) -> None:
    with contextlib.suppress(zoo.ZooError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()


def readers(originals: Path, scratch: Path, file: str) -> list[Callable[[], Any]]:
    """Calls that open a file. The others do the same whatever it holds, and take a third of the time."""
    place = Place(scratch / "run", scratch / FILE, scratch / "comparison", scratch)
    kind, name = file.partition("/")[0], Path(file).name
    reading = []
    for call in calls(place, kind):
        copy(originals, scratch, kind)
        with opened() as names:
            run_call(call)
        if name in names:
            reading.append(call)
    return reading


def call_all(
    originals: Path, scratch: Path, file: str, hostile: Any, reading: list[Callable[[], Any]]
) -> list[str]:
    """Call functions on a copy in which a file holds something hostile; what was executed."""
    copy(originals, scratch, file.partition("/")[0])
    FILES[file][1](scratch / file, hostile)
    with executed(originals / "SENTINEL") as noticed:
        for call in reading:
            run_call(call)
    return noticed


@pytest.mark.parametrize("file", FILES)
def test_files_execute_nothing(file: str, folder: Path, tmp_path: Path) -> None:
    reading = readers(folder, tmp_path, file)
    assert reading
    value = FILES[file][0](folder / file)
    changed = [put(value, spot, specs(folder)[0]) for spot in spots(value)]
    changed += [everywhere(value, text) for text in specs(folder)]
    assert len(changed) > len(specs(folder))
    for hostile in changed:
        assert not call_all(folder, tmp_path, file, hostile, reading)


def test_detector_notices_executed_file(folder: Path, tmp_path: Path) -> None:
    """The other way round: what the command line names is executed, and the detector sees it."""
    shutil.copytree(folder / "run", tmp_path / "run")
    with executed(folder / "SENTINEL") as noticed:
        invoke("train", "--resume", "--out", str(tmp_path / "run"), "--cell", specs(folder)[0])
    (folder / "SENTINEL").unlink()
    assert {word.partition(" ")[0] for word in noticed} >= {"exec", "compile", str(folder / "SENTINEL")}
    for name in [name for name in sys.modules if "evil" in name]:
        del sys.modules[name]


def test_no_command_is_forgotten() -> None:
    """A new command either reads no run, or is called above."""
    assert set(cli.commands or cli.list_commands(None)) == set(COMMANDS) | READ_NONE  # type: ignore[arg-type]


def test_no_function_is_forgotten() -> None:
    """A new public name that takes a path either writes only, or is called above."""
    packages = ["zoo", *(f"zoo.{name}" for name in zoo.__all__ if inspect.ismodule(getattr(zoo, name)))]
    packages += [
        f"zoo.{name}" for name in ("jax", "sklearn", "sktime", "torch") if importlib.util.find_spec(name)
    ]
    results = {
        f"{package}.{name}" for package in packages for name in _names(package) if _takes_path(package, name)
    }
    assert results == set(PYTHON) | WRITE_ONLY


def _names(package: str) -> list[str]:
    module = importlib.import_module(package)
    return getattr(module, "__all__", [name for name in dir(module) if not name.startswith("_")])


def _takes_path(package: str, name: str) -> bool:
    value = getattr(importlib.import_module(package), name)
    if not callable(value) or value.__name__ in (
        "CFiles",
        "HtmlFile",
        "JsFile",
        "OnnxFile",
    ):  # results, which hold paths
        return False
    with contextlib.suppress(ValueError, TypeError):
        parameters = inspect.signature(value).parameters.values()
        return any("Path" in str(each.annotation) or each.name == "sources" for each in parameters)
    return False
