"""Modules derived from cells: text, module and file, what they survive, and that no text becomes code."""

from __future__ import annotations

import ast
import builtins
import os
import re
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest

import zoo
from zoo import kernels
from zoo.compiler.cell_kernels import derive_kernels
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.compile import plan_kernels
from zoo.kernels import cache_dir
from zoo.kernels.cache_dir import cached_files, clear_cache, generated_files, kernel_directory
from zoo.testing.reference import run_sequence

CARD = zoo.Card(title="A cell for tests", authors="Nobody", year=2020, url="https://example.org")
TEXT = '''"""One kernel."""

import zoo


@zoo.njit
def forward(x):
    return x + 1
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of this test's own, and a process that has loaded nothing."""
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    kernel_directory.cache_clear()
    forget()
    yield tmp_path / "cache" / "kernels"
    kernel_directory.cache_clear()
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith("_zoo_generated_")]:
        del sys.modules[name]


def loaded(text: str = TEXT) -> ModuleType:
    return load_source("a_cell", text)


# ---- text, module, file -------------------------------------------------------------------------------


def test_text_becomes_one_module_with_file(folder: Path) -> None:
    module = loaded()
    assert loaded() is module
    assert loaded(TEXT.replace("1", "2")) is not module
    assert [file.read_text(encoding="utf-8") for file in folder.glob(f"{module.__name__}.py")] == [TEXT]
    assert module.__file__ == str(folder / f"{module.__name__}.py")
    with kernels.pure_python():
        assert module.forward(1) == 2


@pytest.mark.parametrize("damage", [b"", b"raise SystemExit('run')\n", b"\xff\xfe", TEXT[:40].encode()])
def test_other_file_content_is_not_run_but_overwritten(folder: Path, damage: bytes) -> None:
    file = Path(loaded().__file__ or "")
    file.write_bytes(damage)
    forget()
    with kernels.pure_python():
        assert loaded().forward(1) == 2
    assert file.read_text(encoding="utf-8") == TEXT
    assert list(folder.glob("*.tmp")) == []


def test_correct_file_is_not_rewritten(folder: Path) -> None:
    file = Path(loaded().__file__ or "")
    before = file.stat().st_ino  # a file is written under another name, and then renamed
    forget()
    loaded()
    assert file.stat().st_ino == before


def test_missing_directory_gives_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "taken"))
    kernel_directory.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        modules = [loaded(TEXT.replace("1", number)) for number in ("5", "6")]
        assert [module.forward(1) for module in modules] == [6, 7]
    assert [warning.category for warning in caught] == [zoo.ZooWarning]
    assert str(caught[0].message).startswith("compiled kernels are not cached")


@pytest.mark.parametrize("broken", ["mkstemp", "replace"])
def test_full_disk_only_skips_file(folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    place = "zoo.kernels.cache_dir.tempfile" if broken == "mkstemp" else "zoo.kernels.cache_dir.Path"
    monkeypatch.setattr(f"{place}.{broken}", full)
    with kernels.pure_python():
        assert loaded().forward(1) == 2
    assert list(folder.iterdir()) == []


def test_failing_module_is_not_cached(folder: Path) -> None:
    before = set(sys.modules)
    with pytest.raises(ZeroDivisionError):
        loaded("1 / 0\n")
    assert set(sys.modules) == before


@pytest.mark.parametrize("kept", [True, False])
def test_traceback_shows_the_line(folder: Path, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    if not kept:
        monkeypatch.setattr("zoo.compiler.codegen.source_module.kernel_directory", lambda: None)
    module = loaded(TEXT.replace("x + 1", "x / 0"))
    with kernels.pure_python(), pytest.raises(ZeroDivisionError) as caught:
        module.forward(1.0)
    assert "return x / 0" in "".join(traceback.format_exception(caught.value))


def test_threads_share_one_module(folder: Path) -> None:
    results: list[ModuleType] = []
    threads = [threading.Thread(target=lambda: results.append(loaded())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(map(id, results))) == 1


def test_cache_counts_and_clears_them(folder: Path) -> None:
    file = Path(loaded().__file__ or "")
    (folder / "mine.py").write_text("", encoding="utf-8")
    assert (generated_files(), cached_files()) == ([file], [])
    assert clear_cache() == 0
    assert [each.name for each in folder.iterdir()] == ["mine.py"]
    assert cache_dir.generated_files() == []


# ---- processes of their own ---------------------------------------------------------------------------

CELL = """
import zoo

class Plain(zoo.Cell):
    '''A plain cell.'''
    card = zoo.Card(title="Plain", authors="Nobody", year=2020, url="https://example.org")
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")
    gain = zoo.Option(1.0)

    def step(self, x, h):
        return zoo.tanh(x @ self.W + self.gain * h)
"""
RUN = """
import sys, warnings
warnings.simplefilter("error")
import numpy as np
import zoo
from numba.core import event

events = event.RecordingListener()
with event.install_listener("numba:compile", events):
    rnn = zoo.Recurrent(Plain(**options), 3, 4, dtype="float64")
    y, _ = rnn.forward(np.ones((2, 1, 3)))
    rnn.backward(np.ones_like(y))
print(sum(each.is_start for _, each in events.buffer), float(y.sum()), float(rnn.grad.sum()))
"""


def process(text: str, cache: Path, **environment: str) -> subprocess.Popen[str]:
    """A process that reads a program from standard input, where nobody can look its source up."""
    settings = {**os.environ, "ZOO_CACHE_DIR": str(cache), "NUMBA_BOUNDSCHECK": "0", **environment}
    started = subprocess.Popen(
        [sys.executable, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=settings,
    )
    assert started.stdin is not None
    started.stdin.write(text)
    started.stdin.close()
    started.stdin = None
    return started


def answer(started: subprocess.Popen[str]) -> list[float]:
    output, errors = started.communicate(timeout=240)
    assert started.returncode == 0, errors
    return [float(word) for word in output.split()]


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_second_process_compiles_only_after_edit(tmp_path: Path) -> None:
    program = f"options = {{}}\n{CELL}{RUN}"
    compiled, *numbers = answer(process(program, tmp_path))
    assert compiled > 0
    assert answer(process(program, tmp_path)) == [0, *numbers]
    (file,) = (tmp_path / "kernels").glob("_zoo_generated_plain_*.py")
    text = file.read_text(encoding="utf-8")
    file.write_text("raise SystemExit", encoding="utf-8")
    assert answer(process(program, tmp_path)) == [0, *numbers], "a damaged file is written again, and not run"
    assert file.read_text(encoding="utf-8") == text
    compiled, *others = answer(process(program.replace("{}", "{'gain': 0.5}", 1), tmp_path))
    assert compiled > 0
    assert others != numbers
    assert len(list((tmp_path / "kernels").glob("_zoo_generated_plain_*.py"))) == 2


def test_processes_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    load = "from zoo.compiler.codegen.source_module import load_source"
    program = f"{load}\nload_source('a_cell', {TEXT * 200!r})\nprint(1)"
    started = [process(program, tmp_path) for _ in range(4)]
    assert [answer(each) for each in started] == [[1.0]] * 4
    (file,) = (tmp_path / "kernels").iterdir()
    assert file.read_text(encoding="utf-8") == TEXT * 200


def test_cell_from_prompt_works_without_cache(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    program = f"options = {{}}\n{CELL}{RUN}".replace('"error")', '"ignore")')
    answers = [
        answer(process(program, cache, NUMBA_DISABLE_JIT="1"))
        for cache in (tmp_path / "cache", tmp_path / "taken")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 0


# ---- options and names --------------------------------------------------------------------------------


def test_modules_are_keyed_by_options(folder: Path) -> None:
    cell = made("h", gain=0.5)
    assert plan_kernels(cell).source != plan_kernels(type(cell)(gain=0.25)).source
    assert derive_kernels(cell).forward is derive_kernels(type(cell)(gain=0.5)).forward
    assert derive_kernels(cell).forward is not derive_kernels(type(cell)(gain=0.25)).forward


def made(state: str = "h", param: str = "W", local: str = "z", **options: float) -> zoo.Cell:
    """A cell whose parts have the names given: sums, products, views and a running sum."""
    scope = {"zoo": zoo, "CARD": CARD, "numpy": np}
    exec(
        f'''
class Named(zoo.Cell):
    """Names."""
    card = CARD
    {param} = zoo.Param("I", "H", init="glorot_uniform")
    U_ = zoo.Param("H", "H", init="orthogonal")
    v_ = zoo.Param("H")
    {state} = zoo.State("H")
    S_ = zoo.State(2, 3, "H")
    gain = zoo.Option(1.0)

    def step(self, x, {state}, S_):
        {local} = x @ self.{param} + {state} @ self.U_
        {local} = numpy.cumsum(numpy.tanh({local})) + self.v_ * numpy.sum({local})
        S_ = S_ * self.gain + numpy.tanh({local})
        return numpy.tanh({local} + S_.sum((0, 1))), S_.transpose(1, 0, 2).reshape(2, 3, -1)
''',
        scope,
    )
    return scope["Named"](**options)


def agrees(cell: zoo.Cell) -> None:
    """The derived kernels, run as plain Python, equal the equations and their finite differences."""
    inputs, hidden, steps, batch = 3, 4, 3, 2
    rng = np.random.default_rng(0)
    params, state = (
        {name: rng.normal(size=lead + shape) / 2 for name, shape in shapes.items()}
        for shapes, lead in (
            (cell.param_shapes(inputs, hidden), ()),
            (cell.state_shapes(inputs, hidden), (batch,)),
        )
    )
    x = rng.normal(size=(steps, batch, inputs))
    actual = derive_kernels(cell)
    with kernels.pure_python():
        prepared = [
            each(tuple(params.values()), True) for each in (actual.forward_params, actual.backward_params)
        ]
        y, last, tape = actual.forward(prepared[0], x, tuple(state.values()))
        dlast = tuple(map(np.zeros_like, last))
        dx, dstate, dparams = actual.backward(prepared[1], x, tuple(state.values()), tape, y, dlast, True)
    expected, expected_last = run_sequence(cell, params, x, state)
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
    for value, name in zip(last, state, strict=True):
        np.testing.assert_allclose(value, expected_last[name], rtol=1e-9, atol=1e-12)
    arrays, gradients = [x, *params.values(), *state.values()], [dx, *dparams, *dstate]
    by = [1e-6 * rng.normal(size=array.shape) for array in arrays]
    losses = []
    for sign in (1, -2):
        for array, step in zip(arrays, by, strict=True):
            array += sign * step
        losses.append((run_sequence(cell, params, x, state)[0] ** 2).sum() / 2)
    slope = sum((gradient * step).sum() for gradient, step in zip(gradients, by, strict=True))
    np.testing.assert_allclose(slope, (losses[0] - losses[1]) / 2, rtol=1e-6)


# What generated code calls its own things, what Python does, and what the neighbours' arrays are called.
NAMES = [
    *(
        "y",
        "t",
        "r",
        "row_index",
        "block_row",
        "block_steps",
        "i",
        "i0",
        "j",
        "k",
        "I",
        "H",
        "T",
        "B",
        "one",
        "zero",
        "half",
        "size",
        "number_1",
    ),
    *("np", "kernels", "math", "zoo_", "range", "abs", "print", "None_", "tape", "state", "steps", "batch"),
    *(
        "rows",
        "last",
        "dlast",
        "dy",
        "dx",
        "dh",
        "dW",
        "dlast_h",
        "forward_",
        "x_all",
        "h_0",
        "h_before",
        "h_new",
    ),
    *(
        "a",
        "a_all",
        "a_all_row",
        "dy_row",
        "h_before_row",
        "W_flat",
        "W_packed",
        "W_transposed",
        "z_row",
        "z_step",
        "z_block",
        "z_slice",
        "workspace",
        "add",
    ),
    *("multiply", "concat", "outer", "row_sum", "copy_2", "each", "S__0", "U__packed", "v__flat"),
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_accepted_for_arrays_and_values(name: str) -> None:
    agrees(made(param=name))
    agrees(made(state=name))
    agrees(made(local=name))


def test_state_names_with_colliding_gradient_names() -> None:
    class Meeting(zoo.Cell):
        """States called as the gradients of others."""

        card = CARD
        W = zoo.Param("I", "H", init="glorot_uniform")
        h = zoo.State("H")
        h_new = zoo.State("H")
        last_h = zoo.State("H")
        h_0 = zoo.State("H")

        def step(self, x, h, h_new, last_h, h_0):
            z = zoo.tanh(x @ self.W + h * h_new + last_h * h_0)
            return z, z * h_new, z + last_h * h, h_0 * z * last_h

    agrees(Meeting())


def test_arrays_of_any_number_are_constants() -> None:
    class Bounded(zoo.Cell):
        """Numbers that have no name in Python."""

        card = CARD
        W = zoo.Param("I", 2, init="glorot_uniform")
        h = zoo.State(2)

        def step(self, x, h):
            z = np.minimum(x @ self.W + h, np.array([np.inf, 0.25]))
            return zoo.tanh(np.maximum(z, np.array([-np.inf, -1e-300])))

    agrees(Bounded())


HARMFUL = ['"""\nraise SystemExit("run")\n"""', "\\", '"', "'''", "{0}", "\n    import os", "#"]


@pytest.mark.parametrize("text", HARMFUL)
def test_user_text_never_becomes_code(text: str) -> None:
    class Hostile(zoo.Cell):
        card = zoo.Card(
            title=text, authors=text, year=2020, url="https://example.org", variant=text, deviations=text
        )
        __doc__ = f"Hostile. {text}"
        family = text
        W = zoo.Param("I", "H", init="glorot_uniform", help=text)
        h = zoo.State("H", help=text)
        mode = zoo.Option(text, help=text)
        other = zoo.Option("plain", choices=[text, "plain"])

        def step(self, x, h):
            if self.mode == text:
                return zoo.tanh(x @ self.W + h)
            return h

    Hostile.__qualname__ = Hostile.__module__ = text
    source = plan_kernels(Hostile()).source
    assert text not in source.replace('"""', "") or len(text) == 1
    tree = ast.parse(source)
    kinds = [type(node) for node in tree.body]
    functions = len(kinds) - 4
    assert functions >= 4
    assert kinds == [ast.Expr, ast.Import, ast.Import, ast.ImportFrom, *[ast.FunctionDef] * functions]
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(texts) == 1, "the docstring, and no other string"
    agrees(Hostile())


@pytest.mark.parametrize("name", ["lstm", "gru", "nas", "lem", "layer_norm_lstm", "mamba"])
def test_loops_over_many_arrays_are_functions_of_disjoint_ones(name: str) -> None:
    functions = [
        node for node in ast.parse(plan_kernels(zoo.get_cell(name)).source).body if hasattr(node, "args")
    ]
    loops = {each.name: ast.unparse(each.decorator_list[0]) for each in functions if "_loop_" in each.name}
    assert len(loops) >= 2
    assert set(loops.values()) == {"zoo.njit(inline=True, noalias=True)"}
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and node.target.id == "j":
                arrays = {each.value.id for each in ast.walk(node) if is_element(each)}
                assert function.name in loops or len(arrays) <= 4


def is_element(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)


def test_derived_code_imports_only_numpy_and_zoo() -> None:
    tree = ast.parse(plan_kernels(made()).source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    loops = {function.name for function in functions if "_loop" in function.name}
    for function in functions:
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        own |= {argument.arg for argument in function.args.args}
        foreign = {node.id for node in names} - own
        assert foreign <= {"np", "zoo", "kernels", "range", "abs", "max", "min"} | loops
        assert not own & {"np", "zoo", "kernels", *vars(builtins)}


# ---- names ------------------------------------------------------------------------------------------------


class ShortNames(zoo.Cell):
    """A gated flow."""

    card = CARD
    W = zoo.Param("I", "2H", init="glorot_uniform")
    U = zoo.Param("H", "2H", init="orthogonal")
    h = zoo.State("H")

    def step(self, x, h):
        a, b = zoo.split(x @ self.W + h @ self.U, 2)
        z = zoo.sigmoid(a)
        return h + z * (1 - z) * (zoo.tanh(b) - h) * (0.5 + z * h)


class LongNames(zoo.Cell):
    """The same with long names."""

    card = CARD
    weights_of_the_input = zoo.Param("I", "2H", init="glorot_uniform")
    weights_of_the_state = zoo.Param("H", "2H", init="orthogonal")
    hidden_state = zoo.State("H")

    def step(self, x, hidden_state):
        raw_update, raw_candidate = zoo.split(
            x @ self.weights_of_the_input + hidden_state @ self.weights_of_the_state, 2
        )
        update_gate = zoo.sigmoid(raw_update)
        return hidden_state + update_gate * (1 - update_gate) * (zoo.tanh(raw_candidate) - hidden_state) * (
            0.5 + update_gate * hidden_state
        )


def test_names_do_not_change_the_order_of_operations() -> None:
    """The bits of results must not depend on how long names are."""
    sources = [plan_kernels(cell()).source.split('"""')[2] for cell in (ShortNames, LongNames)]
    shapes = [re.sub(r"[A-Za-z_]\w*", "name", source) for source in sources]
    assert shapes[0] == shapes[1]
