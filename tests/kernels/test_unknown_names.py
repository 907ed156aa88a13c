"""A kernel with a name that does not exist raises one error with the file and the line."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.errors import DefinitionError
from zoo.kernels.unknown_names import check_names, unknown_names
from zoo.run_module import FILE_MODULE, run_module

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="Python raises a NameError")

KERNEL = """
import numpy as np
import zoo
from zoo import kernels

LIMIT = 3.0

@zoo.njit
def kernel(row):
    total = 0.0
    for value in row:
        total += value
    return {expression}

@zoo.njit
def outer(row):
    return kernel(row)
"""
UNKNOWN = {
    "totl": ("totl", " Did you mean 'total'?"),
    "limit": ("limit", " Did you mean 'LIMIT'?"),
    "abss(total)": ("abss", ""),
    "zoo.foo(row)": ("zoo.foo", ""),
    "np.sqr(total)": ("np.sqr", " Did you mean 'sqrt'?"),
    "np.random.drawn()": ("np.random.drawn", ""),
    "kernels.sigmod(total)": ("kernels.sigmod", " Did you mean 'sigmoid'?"),
    "zoo.kernels.tahn(total)": ("zoo.kernels.tahn", " Did you mean 'tanh'?"),
    "[value * fctor for value in row][0]": ("fctor", ""),
    "np.sqrt(total) if total > 0 else np.exq(total)": ("np.exq", ""),
}


def load(folder: Path, expression: str, lines: int = 0):
    path = folder / "faults.py"
    path.write_text("\n" * lines + KERNEL.format(expression=expression))
    name = f"{FILE_MODULE}faults_{path.parent.name}"
    run_module(name, path, SourceFileLoader(name, str(path)))
    return sys.modules[name]


@pytest.mark.parametrize("expression", UNKNOWN)
@pytest.mark.parametrize("name", ["kernel", "outer"])
def test_error_names_the_name_the_file_and_the_line(expression, name, tmp_path):
    """Also if another kernel calls the kernel."""
    unknown, advice = UNKNOWN[expression]
    with pytest.raises(DefinitionError) as raised:
        getattr(load(tmp_path, expression), name)(zoo.Recurrent("vanilla", 1, 1).theta)
    expected = (
        f"faults.py cannot be compiled: the kernel 'kernel' uses the unknown name '{unknown}' (faults.py, "
        f"line 13)."
    )
    assert str(raised.value).startswith(expected)
    assert advice in str(raised.value)


@given(st.integers(0, 300), st.sampled_from([*UNKNOWN]))
@settings(max_examples=20)
def test_line_is_the_one_of_the_name(tmp_path_factory, lines, expression):
    module = load(tmp_path_factory.mktemp("kernels"), expression, lines)
    with pytest.raises(DefinitionError, match=rf"\(faults\.py, line {lines + 13}\)"):
        check_names(module.kernel.py_func, NameError(repr(UNKNOWN[expression][0].rpartition(".")[2])))


def test_kernel_without_a_module_is_checked():
    namespace = {"__name__": None, "__builtins__": {}}
    exec("def kernel(x):\n    return x + y", namespace)
    with pytest.raises(
        DefinitionError, match=r"the kernel 'kernel' uses the unknown name 'y' \(<string>, line 2"
    ):
        check_names(namespace["kernel"], NameError("global name 'y' is not defined"))


@pytest.mark.parametrize("branch", ["zoo.foo(row)", "np.in1d_old(row)", "other"])
@pytest.mark.parametrize("form", ["{0} if OLD else total", "total if NEW else {0}", "(OLD and {0}) or total"])
def test_names_in_branches_that_a_constant_rules_out_are_ignored(branch, form, tmp_path):
    """Numba removes the branches of older versions of a library."""
    check_names(load(tmp_path, form.format(branch)).kernel.py_func, TypeError("another fault"))


def test_kernel_with_branches_that_a_constant_rules_out_is_compiled(tmp_path):
    body = "np.sqrt(total) if NEW else np.in1d_old(total)\n\nOLD, NEW = False, True"
    kernel = load(tmp_path, f"zoo.foo(total) if OLD else {body}").kernel
    assert kernel(np.full(4, 4.0)) == 4.0


def test_error_in_a_script_names_its_file(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(KERNEL.format(expression="totl") + "\nouter(np.ones(2))\n")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert "'kernel' uses the unknown name 'totl' (script.py, line 13)." in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "expression",
    [
        "total",
        "LIMIT",
        "abs(total)",
        "np.sqrt(total)",
        "zoo.kernels.tanh(total)",
        "row.shape[0]",
        "zoo.njit",
        "len(row)",
    ],
)
def test_names_that_exist_are_accepted(expression, tmp_path):
    function = load(tmp_path, expression).kernel.py_func
    assert not [*unknown_names(function.__code__, function.__globals__)]


def test_shipped_kernels_use_known_names():
    """No name of a correct kernel is an error. Errors of shipped kernels are not replaced."""
    functions = [getattr(getattr(zoo.kernels, name), "py_func", None) for name in dir(zoo.kernels)]
    kernels = [function for function in functions if function is not None]
    unknown = {f.__name__: [*unknown_names(f.__code__, f.__globals__)] for f in kernels}
    assert len(unknown) > 20
    assert not any(unknown.values())
