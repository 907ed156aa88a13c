"""Shipped components use the public API: one entry point a module, public names only, no compiler."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import zoo
from zoo import kernels
from zoo.registry.loader import Loader

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "plugins").rglob("*.py"))
MODULES = [
    file for file in FILES if not file.name.startswith("_")
]  # the others hold what several components share
PUBLIC = {"zoo": set(zoo.__all__), "kernels": set(kernels.__all__), "data": set(zoo.data.__all__)}
OURS = {
    *("zoo_blocks", "zoo_cells", "zoo_constraints", "zoo_modifiers", "zoo_optimizers", "zoo_penalties"),
    *("zoo_samplers", "zoo_tasks", "zoo_trackers"),
}


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT / "plugins").with_suffix("").parts)


def entry_name(file: Path) -> str:
    """The name of its entry point; a block is called as the cell for which it was made."""
    return f"{file.stem}_block" if file.parent.name == "zoo_blocks" else file.stem


def test_every_plugin_module_has_one_entry_point():
    points = entry_points(group="zoo")
    shipped = {point.name: point.value for point in points if point.value.split(".")[0] in OURS}
    assert shipped == {entry_name(file): module_of(file) for file in MODULES}, (
        "edit pyproject.toml, then install again"
    )


def test_every_shipped_plugin_registers_component_of_its_name():
    records = [
        record for record in Loader(environ={"ZOO_PLUGINS": ""}).plugins() if record.status != "skipped"
    ]
    assert len(records) == len(MODULES)
    for record in records:
        assert (record.distribution, record.version, record.error) == ("recurrent-zoo", zoo.__version__, "")
        (provided,) = record.provides
        kind, name = provided.split()
        assert record.name == (f"{name}_block" if kind == "block" else name)


def offences(source: str) -> Iterator[str]:
    """Every way in which a plugin's source reaches past the public names of zoo."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if not allowed_import(name.name))
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "zoo":
            known = {"zoo": PUBLIC["zoo"], "zoo.kernels": PUBLIC["kernels"]}.get(node.module, set())
            yield from (f"{node.module}.{name.name}" for name in node.names if name.name not in known)
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).removeprefix("zoo.")
            if owner in PUBLIC and node.attr not in PUBLIC[owner]:
                yield f"{owner}.{node.attr}"


def allowed_import(name: str) -> bool:
    return name.split(".")[0] != "zoo" or name in ("zoo", "zoo.kernels", "zoo.testing", "zoo.data")


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_shipped_component_uses_public_names_only(file):
    assert list(offences(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "example", sorted((ROOT / "docs/examples").rglob("*.py")), ids=lambda file: file.name
)
def test_examples_register_their_components(example):
    assert list(offences(example.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import zoo.base.cell", ["zoo.base.cell"]),
        ("import zoo.registry as r", ["zoo.registry"]),
        ("from zoo.kernels.jit import njit", ["zoo.kernels.jit.njit"]),
        ("from zoo import _EXPORTS", ["zoo._EXPORTS"]),
        ("from zoo.errors import ZooError", ["zoo.errors.ZooError"]),
        ("zoo.base", ["zoo.base"]),
        ("kernels.gemm_microkernel.make_tile", ["kernels.gemm_microkernel"]),
        ("zoo.kernels.gemm_microkernel", ["kernels.gemm_microkernel"]),
        ("import numpy as np, zoo, zoo.testing\nfrom zoo import kernels\nkernels.tanh, zoo.Cell", []),
    ],
)
def test_reaching_past_the_public_names_is_seen(source, expected):
    assert list(offences(source)) == expected


def loaded_by(script: str) -> set[str]:
    """Top-level packages that a fresh process has imported after a script."""
    report = "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", script + report]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_zoo_imports_next_to_nothing():
    assert not loaded_by("import zoo") & {"numba", "llvmlite", "numpy", "pluggy", "inspect", *OURS}


def test_listing_components_imports_no_compiler():
    script = (
        "import zoo, zoo.registry; assert zoo.list_cells(); zoo.registry.plugins(); zoo.get_cell('vanilla')"
    )
    loaded = loaded_by(script)
    assert not loaded & {"numba", "llvmlite"}
    assert loaded >= OURS
