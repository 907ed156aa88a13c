"""A second process compiles kernels: which ones, and that nothing depends on it."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest

import zoo
from zoo.compiler import compiler_process
from zoo.compiler import second_compiler as module
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.compiler_process import CompilerProcess, KernelCall
from zoo.compiler.second_compiler import list_kernels, second_compiler
from zoo.distributed.collectives import ProcessGroup
from zoo.kernels.cache_dir import cached_files
from zoo.kernels.cache_lock import HAS_LOCKS
from zoo.kernels.jit import pure_python
from zoo.training import trainer as trainer_module
from zoo.training.preview import SmallBatches

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT) or not HAS_LOCKS, reason="nothing is compiled, or twice"
)


def wait_for(name: str) -> None:
    """Wait until a kernel is stored."""
    deadline = time.monotonic() + 120
    while not any(file.name.startswith(f"{name}-") for file in cached_files()):
        assert time.monotonic() < deadline, f"{name} is not compiled"
        time.sleep(0.02)


def hits(kernel: Any) -> int:
    return sum(kernel.dispatcher.stats.cache_hits.values())


def test_kernels_are_listed_in_order_with_types_until_they_are_stored(kernels: ModuleType) -> None:
    def preview() -> None:
        assert kernels.second(kernels.first(1), 0.5) == 1.5
        kernels.first(2)
        raise ValueError("the list ends here")

    first = KernelCall(kernels.first, (numba.int64,))
    second = KernelCall(kernels.second, (numba.int64, numba.float64))
    assert list(list_kernels(preview)) == [first, second]
    assert kernels.first.signatures == []
    kernels.first(1)
    assert list_kernels(preview) == {}


def test_errors_of_a_preview_are_logged_and_its_normal_end_is_not(
    kernels: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        kernels.first(1)
        raise ValueError("the list ends here")

    with caplog.at_level(logging.DEBUG, "zoo.compile"):
        list_kernels(broken)
        (record,) = caplog.records
        assert record.levelno == logging.DEBUG
        assert record.exc_info is not None
        assert str(record.exc_info[1]) == "the list ends here"
        caplog.clear()
        kernels.first(1)
        list_kernels(broken)  # its first kernel is compiled
        list_kernels(lambda: kernels.second(1, 0.5))
    assert caplog.records == []


def test_nested_kernels_are_listed_where_they_run_first(kernels: ModuleType) -> None:
    def preview() -> None:
        kernels.fourth(1)
        kernels.third(1)

    inner = {
        kernel: [call.kernel for call in nested] for (kernel, *_), nested in list_kernels(preview).items()
    }
    assert inner == {kernels.fourth: [kernels.second, kernels.first], kernels.third: [kernels.plus_two]}


def test_second_process_compiles_first_what_the_first_does_not_need(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def preview() -> None:
        kernels.fourth(1)
        kernels.third(1)

    started: list[list[KernelCall]] = []
    monkeypatch.setattr(CompilerProcess, "start", started.append)
    with second_compiler(preview, threads=2):
        (calls,) = started
    names = ["plus_two", "third", "first", "second", "fourth"]
    assert [call.kernel.__name__ for call in calls] == names
    assert [call.is_nested for call in calls] == [True, False, True, True, False]
    for call in calls:
        call.dispatcher.compile(call.types)
    before = len(cached_files())
    preview()
    assert (hits(kernels.fourth), hits(kernels.third), len(cached_files())) == (0, 0, before)


def test_calls_with_defaults_or_keywords_are_not_listed(kernels: ModuleType) -> None:
    (nested,) = list_kernels(lambda: kernels.sixth(1)).values()
    assert nested == []


def test_argument_without_a_numba_type_does_not_end_the_list(kernels: ModuleType) -> None:
    def preview() -> None:
        kernels.fifth(1)
        kernels.first(1)

    assert [call.kernel for call in list_kernels(preview)] == [kernels.fifth, kernels.first]


def test_list_ends_after_a_second(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_SECONDS", 0.0)

    def preview() -> None:
        kernels.first(1)
        kernels.second(1, 2)  # which calls a kernel
        kernels.first(1.0)

    assert [call.kernel for call in list_kernels(preview)] == [kernels.first, kernels.second]


def test_second_process_compiles_the_last_kernel(
    kernels: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    generated = load_source("generated", "import zoo\n@zoo.njit\ndef third(x):\n    return first(x)\n",
                            {"first": kernels.first})  # fmt: skip

    def run() -> float:
        return float(kernels.second(kernels.first(1), 0.5) + generated.third(1))

    with second_compiler(run, threads=2):
        wait_for("third")
        assert run() == 3.5
    assert hits(generated.third) == 1
    assert caplog.records == []


def test_failure_of_the_second_process_is_logged_and_harmless(
    kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run() -> float:
        return float(kernels.second(kernels.first(1), 0.5))

    monkeypatch.setattr(compiler_process, "_PROGRAM", "sys.exit('it is broken')")
    started: list[Any] = []
    start = CompilerProcess.start
    monkeypatch.setattr(CompilerProcess, "start", lambda calls: started.append(start(calls)) or started[0])
    with caplog.at_level(logging.WARNING, "zoo.compile"), second_compiler(run, threads=2):
        started[0]._process.wait()
        assert run() == 1.5
    (record,) = caplog.records
    assert "failed (exit code 1): it is broken" in record.getMessage()


@pytest.mark.parametrize("reason", ["one thread", "one processor", "no directory", "switched off"])
def test_no_second_process(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    monkeypatch.setattr(module, "CompilerProcess", None)  # fails if it is used
    if reason == "one processor":
        monkeypatch.setattr(compiler_process, "available_processors", lambda: 1)
    if reason == "no directory":
        monkeypatch.setattr(compiler_process, "kernel_directory", lambda: None)
    if reason == "switched off":
        monkeypatch.setenv("ZOO_COMPILE_PROCESSES", "1")
    with second_compiler(lambda: kernels.first(1), threads=1 if reason == "one thread" else 2):
        pass


def test_preview_lists_the_kernels_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[list[KernelCall]] = []
    monkeypatch.setattr(KernelCall, "is_missing", True)

    class Trainer(trainer_module.Trainer):
        def _run_once(self, wait: bool) -> None:
            listed.append([*list_kernels(self._preview)])
            listed.append(
                [*list_kernels(lambda: super(Trainer, self)._run_once(wait))]
            )  # as pure Python with the whole batch

    monkeypatch.setattr("zoo.training.session.Trainer", Trainer)
    (tmp_path / "abc.txt").write_text("abc" * 100, encoding="utf-8")
    sizes: dict[str, Any] = {"hidden": 8, "batch": 4, "steps": 1, "threads": 1}
    zoo.train(tmp_path / "abc.txt", seq=5, out=tmp_path / "text", **sizes)
    with pure_python():
        zoo.train(task="adding", task_options={"length": 4}, out=tmp_path / "task", **sizes)
    text, whole_text, task, whole_task = listed
    assert text == whole_text
    assert set(task) <= set(whole_task)  # which may also scale the gradient
    names = ["readout_loss_and_grad", "backward", "global_norm", "update"]
    assert [call.kernel.__name__ for call in text] == ["forward", "readout_loss", *names]
    assert [call.kernel.__name__ for call in task] == ["forward", "project", "weighted_loss", *names]
    for kernel, types, _ in text:
        assert types in kernel.signatures, kernel


@pytest.mark.parametrize("error", [None, module.PreviewEnd(), ValueError("too short")])
def test_preview_continues_without_a_validation(
    error: Exception | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listed: list[str] = []
    monkeypatch.setattr(KernelCall, "is_missing", True)

    class Trainer(trainer_module.Trainer):
        def _run_once(self, wait: bool) -> None:
            dataset = type(self.dataset)
            if error is not None:
                monkeypatch.setattr(dataset, "compile_kernels", lambda *_: (_ for _ in ()).throw(error))
            with caplog.at_level(logging.DEBUG, "zoo.compile"):
                listed.extend(call.kernel.__name__ for call in list_kernels(self._preview))
            monkeypatch.undo()

    monkeypatch.setattr("zoo.training.session.Trainer", Trainer)
    with pure_python():
        zoo.train(task="adding", task_options={"length": 4}, hidden=2, batch=2, steps=1, out=tmp_path / "run")
    assert "update" in listed
    is_logged = isinstance(error, ValueError)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == (
        ["the preview has no validation"] * is_logged
    )


class RecordingGroup(ProcessGroup):
    """A group of one rank that records which of its methods are used."""

    used: list[str]

    def __getattribute__(self, name: str) -> Any:
        type(self).used.append(name)
        return super().__getattribute__(name)


def test_kernels_are_compiled_without_other_ranks(
    kernel_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rank of each machine compiles first, while the others wait: it must not wait for them."""
    listed: list[KernelCall] = []

    class Trainer(trainer_module.Trainer):
        def compile_kernels(self, **arguments: Any) -> None:
            group = self.model.process_group
            RecordingGroup.used = []
            super().compile_kernels(**arguments)
            # `local_shards` needs no other rank.
            assert RecordingGroup.used == ["one_per_node_first", "local_shards"]
            assert self.model.process_group is group

    RecordingGroup.used = []
    monkeypatch.setattr("zoo.training.session.process_group", RecordingGroup)
    monkeypatch.setattr("zoo.training.session.Trainer", Trainer)
    monkeypatch.setattr(KernelCall, "is_missing", True)
    monkeypatch.setattr(CompilerProcess, "start", listed.extend)
    with pure_python():
        options = {"length": 4}
        zoo.train(
            task="adding", task_options=options, hidden=2, batch=2, steps=1, threads=2, out=tmp_path / "run"
        )
    assert "backward" in [call.kernel.__name__ for call in listed]


class Own(zoo.Cell):
    """A cell that only these tests use, so that nothing has compiled it before."""

    h = zoo.State("H")
    W, b = zoo.Param("I", "H"), zoo.Param("H")

    def step(self, x, h):
        return np.tanh(x @ self.W + 0.75 * h + self.b)


def run_layer(threads: int) -> Any:
    layer = zoo.Recurrent(Own, 2, 3, threads=threads)
    y, _ = layer.forward(np.ones((4, 5, 2)))
    layer.backward(y)
    return layer.grad.copy(), lambda: layer.forward(np.ones((6, 5, 2)))


def run_model(threads: int) -> Any:
    model = zoo.SequenceModel(Own, 2, 3, hidden_size=4, loss="squared_error", threads=threads)
    x, y = np.ones((4, 5, 2)), np.zeros((4, 5, 3))
    model.loss_and_grad(x.tolist(), y.tolist())
    return model.grad.copy(), lambda: model.loss_and_grad(x, y[-1], lengths=[1, 2, 3, 4, 0])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of the processes that first passes start, as if no kernel were stored."""
    started: list[Any] = []
    monkeypatch.setattr(module, "can_start_process", lambda threads: threads > 1)
    monkeypatch.setattr(module.PROCESS, "start", started.append)
    monkeypatch.setattr(KernelCall, "is_missing", True)
    return started


@pytest.mark.parametrize("run", [run_layer, run_model])
def test_first_pass_starts_a_second_process(run: Any, started: list[Any]) -> None:
    with second_compiler(lambda: None, threads=2):
        expected, _ = run(2)
    with pure_python():
        run(2)
    run(1)
    assert started == []
    actual, run_another_batch = run(2)
    run_another_batch()
    np.testing.assert_array_equal(actual, expected)
    (calls,) = started
    names = [call.kernel.__name__ for call in calls]
    assert names.index("backward") < names.index("forward")


def test_pass_without_a_tape_compiles_no_backward_pass(started: list[Any]) -> None:
    layer = zoo.Recurrent(Own, 2, 3, threads=2)
    layer(np.ones((4, 5, 2)), tape=False)
    layer(np.ones((6, 5, 2)), tape=False)
    y, _ = layer(np.ones((4, 5, 2)))
    layer.backward(y)
    names = [[call.kernel.__name__ for call in calls] for calls in started]
    assert ["backward" in each for each in names] == [False, True]
    assert all("forward" in each for each in names)


def test_pass_with_a_tape_shares_its_backward_pass_after_one_without(
    kernel_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fresh(zoo.Cell):
        """A cell that only this test compiles."""

        h = zoo.State("H")
        W, U, b = zoo.Param("I", "H"), zoo.Param("H", "H"), zoo.Param("H")

        def step(self, x, h):
            return np.tanh(x @ self.W + 0.625 * h @ self.U + self.b)

    started: list[Any] = []
    monkeypatch.setattr(module, "can_start_process", lambda threads: threads > 1)
    monkeypatch.setattr(module.PROCESS, "start", started.append)
    x = np.ones((4, 5, 2))
    for _ in range(2):  # the second layer compiles nothing
        layer = zoo.Recurrent(Fresh, 2, 3, threads=2)
        layer(x, tape=False)
        y, _ = layer(x)
        layer.backward(y)
    names = [{call.kernel.__name__ for call in calls if not call.is_nested} for calls in started]
    assert names == [{"prepare_forward", "forward"}, {"prepare_backward", "backward"}]


class Penalty:
    """A penalty that counts the batches that it sees."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def value_and_grad(self, y: Any, _lengths: Any) -> tuple[float, Any]:
        self.batches.append(y.shape)
        return 0.0, np.zeros_like(y)

    def value(self, y: Any, lengths: Any) -> float:
        return self.value_and_grad(y, lengths)[0]

    def gradient(self, y: Any, lengths: Any) -> Any:
        return self.value_and_grad(y, lengths)[1]


def test_no_preview_with_other_ranks_or_a_penalty(started: list[Any]) -> None:
    x, y = np.ones((4, 5, 2)), np.zeros((4, 5, 3))
    model = zoo.SequenceModel(Own, 2, 3, hidden_size=4, loss="squared_error", threads=2)
    penalty: Any = Penalty()
    model.activity_penalty = penalty
    model.loss_and_grad(x, y)
    assert {shape[:2] for shape in penalty.batches} == {(4, 5)}
    model.activity_penalty = None
    model.process_group = TwoRanks()
    model.loss_and_grad(x, y)
    assert started == []
    model.process_group = ProcessGroup()
    model.loss_and_grad(x, y)
    assert len(started) == 1


class TwoRanks(ProcessGroup):
    """The first of two ranks, which computes all shards."""

    size = 2  # type: ignore[assignment]

    def local_shards(self, batch: int) -> Any:
        return ProcessGroup().local_shards(batch)

    def sum_gradients(self, gradients: Any, out: Any, batch: int) -> None:
        ProcessGroup().sum_gradients(gradients, out, batch)


@pytest.mark.usefixtures("started")
def test_first_passes_in_threads_keep_the_filters_of_warnings() -> None:
    filters = list(warnings.filters)
    layers = [zoo.Recurrent(Own, 2, 3 + n, threads=2) for n in range(6)]
    threads = [threading.Thread(target=layer.forward, args=(np.ones((2, 1, 2)),)) for layer in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == filters


@pytest.mark.usefixtures("started")
def test_list_ends_at_loops_over_large_arrays() -> None:
    sizes = []

    @zoo.njit
    def loop(x):
        sizes.append(x.size)

    def preview() -> None:
        loop(np.ones(1 << 20))
        loop(np.ones((2, 1 << 20)))
        loop(np.ones(1))

    assert [call.kernel for call in list_kernels(preview)] == [loop, loop]
    assert sizes == [1 << 20]


def test_small_batches_are_the_last_step_of_the_first_sequence() -> None:
    model = zoo.SequenceModel("vanilla", 2, 3, hidden_size=4, loss="squared_error", threads=1)
    rng = np.random.default_rng(0)
    x, y, weights = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 3, 3)), np.zeros((5, 3))
    small: Any = SmallBatches(model)
    with pure_python():
        expected = model.loss(x[-1:, :1], y[-1:, :1])[0]
        assert small.loss(x, y, weights)[0] == expected
        assert small.loss(x, y[-1], lengths=np.array([5, 4, 0]))[0] == expected
    assert small.stack is model.stack
    with pytest.raises(AttributeError, match="outputs"):
        small.outputs(x)
