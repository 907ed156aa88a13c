"""``zoo cache build``, ``export`` and ``import``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import zoo
from zoo.cli.app import cli
from zoo.kernels.cache_dir import kernel_directory, write_checked
from zoo.kernels.jit import Kernel, observe_calls, pure_python
from zoo.layers.stream_step import StreamStep
from zoo.training import kernel_build


def run(*args: str, **env: str) -> Result:
    return CliRunner().invoke(cli, ["cache", *args], env=env)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build"], "zoo cache build needs one of --cell NAME and --all."),
        (["build", "--cell", "gru", "--all"], "zoo cache build needs one of --cell NAME and --all."),
        (
            ["clear", "--precision", "bf16"],
            "--cell, --all, --dtype and --precision are for `zoo cache build`, not for clear.",
        ),
        (["export"], "zoo cache export needs a FILE."),
        (["clear", "a.zip"], "zoo cache clear takes no FILE, and 'a.zip' is given."),
        (["build", "--cell", "gruu"], "unknown cell 'gruu'. Did you mean 'gru'"),
        (
            ["build", "gruu"],
            "zoo cache build takes no FILE, and 'gruu' is given. Name a cell with a flag: `zoo cache build "
            "--cell gruu`. Did you mean 'gru'",
        ),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"Error: {message}" in result.output


@pytest.mark.parametrize("name", zoo.list_cells()[::7])
def test_build_suggests_the_flag_of_a_cell(name: str) -> None:
    assert run("build", name).output.endswith(f"with a flag: `zoo cache build --cell {name}`.\n")


def test_build_shows_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[zoo.Cell, str, str | None]] = []
    monkeypatch.setattr(kernel_build, "build_kernels", lambda *job: built.append(job))
    flags = ["--cell", "lstm,gru", "--cell", "vanilla", "--dtype", "float64", "--dtype", "float32"]
    lines = run("build", *flags, ZOO_CACHE_DIR=str(tmp_path)).output.splitlines()
    assert [(cell.name, dtype) for cell, dtype, _ in built] == [
        (cell, dtype) for cell in ("lstm", "gru", "vanilla") for dtype in ("float64", "float32")
    ]
    assert lines[0] == "1/6  lstm  float64  0 kernels compiled in 0.0 s"
    built.clear()
    run("build", "--all", ZOO_CACHE_DIR=str(tmp_path))
    assert [(cell.name, *rest) for cell, *rest in built] == [
        (name, "float32", None) for name in zoo.list_cells()
    ]
    line = run("build", "--cell", "gru", "--precision", "bf16", ZOO_CACHE_DIR=str(tmp_path)).output
    assert line == "1/1  gru  float32 with bf16 products  0 kernels compiled in 0.0 s\n"
    assert built[-1][1:] == ("float32", "bf16")


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("numbers", [("float64", None), ("float32", "bf16")])
def test_build_calls_the_kernels_of_training_runs(tmp_path: Path, numbers: tuple[str, str | None]) -> None:
    def kernels_of(function: Any, *args: Any, **kwargs: Any) -> set[tuple[str, tuple[str, ...]]]:
        calls: set[tuple[str, tuple[str, ...]]] = set()

        def note(kernel: Kernel[Any, Any], arguments: tuple[Any, ...]) -> None:
            calls.add((repr(kernel), tuple(map(kind, arguments))))

        with pure_python(), observe_calls(note):
            function(*args, **kwargs)
        return calls

    def kind(value: Any) -> str:
        if isinstance(value, tuple):
            return f"({', '.join(map(kind, value))})"
        return f"{getattr(value, 'dtype', type(value).__name__)}{getattr(value, 'ndim', '')}"

    built = kernels_of(kernel_build.build_kernels, zoo.get_cell("vanilla"), *numbers)
    (tmp_path / "abc.txt").write_text("abc" * 200, encoding="utf-8")
    sizes: dict[str, Any] = {"hidden": 3, "batch": 2, "steps": 2, "threads": 1}
    sizes |= dict(zip(("dtype", "precision"), numbers, strict=True))
    text = kernels_of(zoo.train, tmp_path / "abc.txt", seq=3, out=tmp_path / "text", **sizes)
    task = {"task": "adding", "task_options": {"length": 4}}
    examples = kernels_of(zoo.train, **task, out=tmp_path / "task", **sizes)
    assert len(text) >= 6
    samples = kernels_of(zoo.load(tmp_path / "text").sample, "a", 3)
    assert samples
    assert text | examples | samples <= built


def test_build_runs_steppers_of_models_and_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their compiled step is one kernel each, which depends on the axes of the inputs and on the readout."""
    steps: set[tuple[int, bool]] = set()
    original = StreamStep.__call__

    def note(step: StreamStep, x: Any, *others: Any) -> Any:
        steps.add((x.ndim, step._readout is not None))
        return original(step, x, *others)

    monkeypatch.setattr(StreamStep, "__call__", note)
    with pure_python():
        kernel_build.build_kernels(zoo.get_cell("vanilla"), "float64")
    assert steps == {(2, True), (3, True), (3, False)}


def test_export_and_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = str(tmp_path / "kernels.zip")
    for name in ("first", "second"):
        monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / name))
        kernel_directory.cache_clear()
        directory = kernel_directory()
        assert directory is not None
        if name == "first":
            write_checked(directory / f"forward-{'0' * 40}.kernel", b"x" * 68)
            assert run("export", archive).output == f"Wrote 1 kernels, 100 B, to {archive}.\n"
            continue
        assert run("import", archive).output == f"Imported 1 kernels into {directory}.\n"
        second = f"Imported 0 kernels into {directory}; 1 were there already.\n"
        assert run("import", archive).output == second
    kernel_directory.cache_clear()
    result = run("export", archive, ZOO_CACHE_DIR=str(tmp_path / "third"))
    assert result.exit_code == 2
    assert "has no kernels; `zoo cache build` compiles some." in result.output
