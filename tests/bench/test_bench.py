"""Benchmark: measurements, output, and no times for peers with other results."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from bench_results import made, slower

import zoo
from zoo import kernels
from zoo.bench import bench, tables
from zoo.bench.bench import ROUNDS, SIZES, command, measure, mismatch, normalise_by_peak, time_cell
from zoo.bench.machine import cache_sizes
from zoo.bench.peer_process import BenchError, PeerProcess, PeerServer, environment, installed_peers, serve
from zoo.bench.peers import PEERS, TORCH_LAYER
from zoo.bench.peers import zoo as zoo_peer
from zoo.bench.peers.problem import (
    EQUATIONS,
    Functions,
    UnsupportedProblemError,
    Variant,
    load,
    norm,
    summary,
)
from zoo.bench.results import Baseline, Demand, StepTiming, check_comparable, compare, read_baseline
from zoo.bench.settings import SHAPES, Settings, Shape, parse_names, parse_pythons, parse_shapes
from zoo.bench.tables import describe_setup, result_tables, write_tables
from zoo.errors import UsageError
from zoo.kernels import precision
from zoo.processes import available_processors
from zoo.storage.document_marker import BEGINNING, END, DocumentMarker, parse_marker

TINY = Shape(4, 3, 8)


def settings(**changes):
    given = {"cells": ("vanilla",), "shapes": (TINY,), "seconds": 0.01, **changes}
    return Settings(**given)


# ---- what to measure ----------------------------------------------------------------------------------


def test_default_shapes_parse():
    assert [str(shape) for shape in parse_shapes(SHAPES)] == SHAPES.split(",")
    assert parse_shapes("64x32x128, 64x32x128") == (Shape(64, 32, 128),)
    assert Shape(64, 32, 128).tokens == 2048
    (shape,) = parse_shapes("35x20x448x512")
    assert (shape, str(shape)) == (Shape(35, 20, 512, given_inputs=448), "35x20x448x512")
    assert (shape.input_size, Shape(64, 32, 128).input_size) == (448, 65)


@pytest.mark.parametrize(
    "text", ["64x32", "64x32x0", "axbxc", "64x32x128x2x3", "64x32x128x", "64,32,128", "-1x2x3", "٣x1x1"]
)
def test_invalid_shape_raises(text):
    with pytest.raises(UsageError, match=r"is not a shape; expected time steps, batch and hidden units"):
        parse_shapes(text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cells": ()}, "nothing to measure"),
        ({"shapes": ()}, "nothing to measure"),
        ({"peers": ("torhc",)}, r"unknown peer 'torhc'\. Did you mean 'torch'\?"),
        ({"pythons": {"keras": "python"}}, "unknown peer 'keras'"),
        ({"threads": 0}, "threads is 0"),
        ({"threads": 10**6}, "threads is 1000000"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"precision": "bf16", "dtype": "float64"}, "bench: precision is 'bf16' and dtype is 'float64'"),
        ({"inputs": "words"}, "inputs is 'words'; expected tokens or dense"),
        ({"inputs": "dense", "peers": ("pytensor",)}, "no step for dense inputs; choose among torch, "),
        ({"clock": "sun"}, "clock is 'sun'; expected wall or processor"),
        ({"measure": "layer", "sampling": True}, "a layer cannot sample; leave out --sampling"),
        ({"measure": "stream", "sampling": True}, "leave out --sampling, or --measure stream"),
        ({"measure": "cell"}, "measure is 'cell'; expected one of model, layer, stream"),
        (
            {"shapes": (Shape(4, 3, 8, 5),)},
            "shape 4x3x5x8 has an input size, and the inputs are tokens; add --inputs",
        ),
        ({"seconds": 0.0}, r"seconds is 0\.0"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": float("inf")}, "seconds is inf"),
    ],
)
def test_invalid_settings_raise(changes, words):
    with pytest.raises(UsageError, match=words):
        settings(**changes)


def test_lists_and_interpreters_parse():
    assert parse_names(" a,b,,a ") == ("a", "b")
    assert parse_pythons([f"torch={sys.executable}"]) == {"torch": sys.executable}
    for text in ("torch", "torch=", "=python", "torch=nothere/python"):
        with pytest.raises(UsageError, match="expected a peer and the interpreter"):
            parse_pythons([text])


def test_command_spells_out_defaults():
    text = command(settings(peers=("jax",), starts=False, growth=True))
    assert text == (
        "zoo bench --cells vanilla --shapes 4x3x8 --peers jax --threads 1 --dtype float32 "
        "--inputs tokens --seconds 0.01 --no-compile --growth"
    )


def test_clock_of_other_run_must_be_the_same(tmp_path):
    chosen = settings(clock="processor")
    assert "--dtype float32 --clock processor --inputs" in command(chosen)
    check_comparable(baseline_of(tmp_path, threads=1), settings())  # without a clock, as older versions wrote
    with pytest.raises(UsageError, match="has clock wall, this run has processor"):
        check_comparable(baseline_of(tmp_path, threads=1), chosen)


def test_processor_time_excludes_waiting(monkeypatch, tmp_path):
    zoo_peer.make_problem("vanilla", TINY, "float32", 1).save(tmp_path / "problem.npz")
    waiting = [Variant(name, lambda: time.sleep(0.02), lambda: (1.0, 1.0)) for name in ("a", "b")]
    server = PeerServer("zoo")
    monkeypatch.setattr(server.module, "build", lambda problem: waiting)
    least = {}
    for clock in ("wall", "processor"):
        server.build(str(tmp_path / "problem.npz"), clock)
        answer = server.run(2)
        least[clock] = min(answer["seconds"])
        assert answer["busy"] < 0.5
    assert least["processor"] < 0.01 < 0.02 <= least["wall"]


def test_fastest_variant_is_chosen_in_interleaved_trials():
    calls = []

    def variant(name, *seconds):
        times = iter(seconds)

        def run():
            calls.append(name)
            now[0] += next(times, seconds[-1])

        return Variant(name, run, lambda: (1.0, 1.0))

    now = [0.0]
    server = PeerServer("zoo")
    server.clock = lambda: now[0]
    slow, disturbed = variant("slow", 2.0), variant("disturbed", 9.0, 9.0, 1.0)
    assert server._fastest([slow, disturbed]) is disturbed
    assert calls[:4] == ["slow", "disturbed", "slow", "disturbed"]


def test_precision_of_products(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "bf16_problem", lambda: "")
    chosen = settings(precision="bf16", threads=1)
    assert "--dtype float32 --precision bf16 --inputs" in command(chosen)
    with pytest.raises(UsageError, match="has precision default, this run has bf16"):
        check_comparable(baseline_of(tmp_path, threads=1), chosen)
    losses = []
    for each in (None, "bf16"):
        problem = zoo_peer.make_problem("vanilla", TINY, "float32", 1, "dense", each)
        problem.save(tmp_path / "problem.npz")
        with kernels.pure_python():
            (variant,) = zoo_peer.build(load(tmp_path / "problem.npz"))
            losses.append(variant.check()[0])
    assert 0 < abs(losses[0] - losses[1]) < 1e-3


# ---- problems, and zoo's way to solve them ------------------------------------------------------------


def test_problem_round_trips_through_its_file(tmp_path):
    problem = zoo_peer.make_problem("lstm", TINY, "float32", 1)
    problem.save(tmp_path / "problem.npz")
    loaded = load(tmp_path / "problem.npz")
    assert (loaded.cell, loaded.options, loaded.hidden) == ("lstm", {"forget_bias": 0.0, "t_max": 2.0}, 8)
    assert loaded.params.keys() == {"Wx", "Wh", "b", "Why", "by"}
    for name, value in problem.params.items():
        np.testing.assert_array_equal(loaded.params[name], value, strict=True)
    np.testing.assert_array_equal(loaded.inputs, problem.inputs, strict=True)
    np.testing.assert_array_equal(loaded.targets, problem.targets, strict=True)


@pytest.mark.parametrize("inputs", ["tokens", "dense"])
@pytest.mark.parametrize("cell", ["vanilla", "lstm", "lstm_projected", "mamba"])
def test_layer_problem_is_that_of_a_layer(cell, inputs, tmp_path):
    shape = Shape(4, 3, 8, 5 if inputs == "dense" else None)
    zoo_peer.make_problem(cell, shape, "float64", 1, inputs, measure="layer").save(tmp_path / "problem.npz")
    problem = load(tmp_path / "problem.npz")
    assert not {"Why", "by"} & problem.params.keys()
    assert problem.input_size == (5 if inputs == "dense" else 65)
    (variant,) = zoo_peer.build(problem)
    rnn = zoo.Recurrent(cell, problem.input_size, 8, dtype="float64")
    rnn.fill({f"l0.{name}": value for name, value in problem.params.items()})
    with kernels.pure_python():
        y, _ = rnn.forward(problem.inputs)
        rnn.backward(problem.dy)
        total, gradient = variant.check()
    assert total == pytest.approx(np.vdot(y, problem.dy))
    assert gradient == norm(*(rnn.grads[f"l0.{name}"] for name in zoo_peer.input_weights(rnn.cell))) > 0
    for name, value in variant.gradients().items():
        np.testing.assert_array_equal(value, rnn.grads[f"l0.{name}"])


@pytest.mark.parametrize("inputs", ["tokens", "dense"])
@pytest.mark.parametrize("cell", ["vanilla", "lstm"])
def test_stream_problem_has_the_outputs_of_the_layer(cell, inputs, tmp_path):
    shape = Shape(4, 3, 8, 5 if inputs == "dense" else None)
    path = tmp_path / "problem.npz"
    zoo_peer.make_problem(cell, shape, "float64", 1, inputs, measure="stream").save(path)
    problem = load(path)
    assert problem.is_stream
    (variant,) = zoo_peer.stream(problem)
    rnn = zoo.Recurrent(cell, problem.input_size, 8, dtype="float64")
    rnn.fill({f"l0.{name}": value for name, value in problem.params.items()})
    y, _ = rnn(problem.inputs)
    np.testing.assert_allclose(variant.run(), y, rtol=1e-12)
    for _ in range(2):  # every run begins with the initial states
        assert variant.check() == (pytest.approx(np.vdot(y, problem.dy)), 0.0)


def test_peers_without_streams_are_not_measured(tmp_path, monkeypatch):
    monkeypatch.delattr(zoo_peer, "stream")
    problem = zoo_peer.make_problem("lstm", Shape(2, 1, 4), "float32", 1, measure="stream")
    problem.save(tmp_path / "problem.npz")
    answer = PeerServer("zoo").build(str(tmp_path / "problem.npz"))
    assert answer == {"unsupported": "it is not measured one time step in each call"}


def test_flops_of_a_stream_are_those_of_the_forward_pass():
    dense, hidden = 2 * 5 * 32, 2 * 8 * 32
    for inputs, expected in (("dense", dense + hidden), ("tokens", hidden)):
        shape = Shape(4, 3, 8, 5 if inputs == "dense" else None)
        problem = zoo_peer.make_problem("lstm", shape, "float32", 1, inputs, measure="stream")
        assert zoo_peer.flops(problem) == (12 * expected, "plan")


def test_flops_of_a_layer_exclude_the_readout():
    dense, hidden = 2 * 5 * 32, 2 * 8 * 32  # products of one row of an LSTM with 5 inputs and 8 units
    problem = zoo_peer.make_problem("lstm", Shape(4, 3, 8, 5), "float32", 1, "dense", measure="layer")
    assert zoo_peer.flops(problem) == (12 * (3 * hidden + 2 * dense), "plan")
    assert zoo_peer.step_weight_bytes(problem) == 4 * 8 * 32


def test_cache_sizes(tmp_path):
    for index, (kind, level, size) in enumerate(
        [("Data", 1, "48K"), ("Instruction", 1, "32K"), ("Unified", 2, "1024K"), ("Unified", 3, "32768K")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in {"type": kind, "level": level, "size": size}.items():
            (folder / name).write_text(f"{value}\n")
    caches = cache_sizes(tmp_path)
    assert caches == {"L1": 48 << 10, "L2": 1 << 20, "L3": 32 << 20}
    assert cache_sizes(tmp_path / "none") == {}
    texts = {size: tables._weights(size, caches) for size in (100, 48 << 10, 50 << 10, 3 << 20, 1 << 30)}
    assert list(texts.values()) == ["0 KiB L1", "48 KiB L1", "50 KiB L2", "3.0 MiB L3", "1,024.0 MiB memory"]
    assert (tables._weights(1024, {}), tables._weights(None, caches)) == ("1 KiB", "")


def test_no_parameter_of_a_problem_is_zero():
    for cell in EQUATIONS:
        problem = zoo_peer.make_problem(cell, TINY, "float64", 1)
        assert [name for name, value in problem.params.items() if not value.any()] == []
        assert problem.dtype == "float64"


def test_zoo_variant_is_loss_and_grad():
    problem = zoo_peer.make_problem("vanilla", TINY, "float64", 1)
    (variant,) = zoo_peer.build(problem)
    model = zoo.LanguageModel(zoo_peer.VOCABULARY, "vanilla", 8, dtype="float64")
    for name, value in problem.params.items():
        model.params[name if name in ("Why", "by") else f"l0.{name}"][...] = value
    with kernels.pure_python():
        expected, _ = model.loss_and_grad(problem.inputs, problem.targets)
        loss, gradient = variant.check()
    assert loss == expected
    assert gradient == norm(model.grads["l0.Wxh"]) > 0


@pytest.mark.parametrize(
    ("cell", "matrices", "source"),
    [
        ("vanilla", 1, "shapes"),
        ("lstm", 4, "plan"),
        ("gru", 3, "plan"),
        ("mgu", 2, "plan"),
        ("rhn", 6, "plan"),
    ],
)
def test_flops_count_recurrent_and_readout_matrices(cell, matrices, source):
    shape, hidden = Shape(5, 2, 12), 12
    expected = 3 * 2 * shape.tokens * (matrices * hidden * hidden + hidden * 65)
    assert zoo_peer.flops(zoo_peer.make_problem(cell, shape, "float32", 1)) == (expected, source)


@pytest.mark.parametrize("cell", ["vanilla", "lstm"])
def test_dense_problem_is_that_of_a_sequence_model(cell):
    problem = zoo_peer.make_problem(cell, TINY, "float64", 1, "dense")
    assert problem.inputs.shape == (4, 3, 65)
    model = zoo.SequenceModel(cell, 65, 65, 8, dtype="float64")
    for name, value in problem.params.items():
        model.params[name if name in ("Why", "by") else f"l0.{name}"][...] = value
    with kernels.pure_python():
        expected, _ = model.loss_and_grad(problem.inputs, problem.targets)
        loss, gradient = zoo_peer.build(problem)[0].check()
    (weight,) = zoo_peer.input_weights(model.cell)
    assert (loss, gradient) == (expected, norm(model.grads[f"l0.{weight}"]))
    of_tokens, _ = zoo_peer.flops(zoo_peer.make_problem(cell, TINY, "float64", 1))
    products = 2 * 2 * TINY.tokens * problem.params[weight].size
    assert zoo_peer.flops(problem)[0] == of_tokens + products, "forward, and the gradient of the matrix"


def by_its_step(problem):
    """Outputs of the first row, by the ``step`` of zoo's cell on NumPy arrays."""
    cell = zoo.get_cell(problem.cell)
    bound = cell.with_arrays(problem.params)
    states = tuple(np.zeros(shape) for shape in cell.state_shapes(65, 8).values())
    outputs = []
    for token in problem.inputs[:, 0]:
        result = bound.step(np.eye(65)[token], *states)
        states = result if isinstance(result, tuple) else (result,)
        outputs.append(states[0])
    return outputs


NUMPY = Functions(np.tanh, lambda a: 1 / (1 + np.exp(-a)), lambda a, parts: np.split(a, parts, axis=1))


@pytest.mark.parametrize("cell", EQUATIONS)
def test_equations_of_peers_match_zoo(cell):
    problem = zoo_peer.make_problem(cell, TINY, "float64", 1)
    equations = EQUATIONS[cell]
    states = (np.zeros((3, 8)),) * equations.states
    outputs = []
    for tokens in problem.inputs:
        a = problem.params[equations.weight][tokens] + problem.params[equations.bias]
        states = equations.step(NUMPY, problem.params, problem.options, a, *states)
        outputs.append(states[0])
    np.testing.assert_allclose(np.array(outputs)[:, 0], by_its_step(problem), rtol=1e-12, atol=1e-14)


# ---- processes ----------------------------------------------------------------------------------------


def test_environment_sets_threads():
    variables = environment(3)
    assert {variables[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")} == {"3"}
    assert variables["XLA_FLAGS"].endswith("eigen=true")
    assert environment(1)["XLA_FLAGS"].endswith("eigen=false")


def test_server_answers_requests_and_errors(tmp_path):
    answers = []
    requests = [
        {"do": "describe"},
        {"do": "build", "path": str(tmp_path / "nothere")},
        {"do": "run", "calls": 1},
    ]
    serve(PeerServer("zoo"), requests, answers.append)
    description, build, run = answers
    assert description["cells"] is None
    assert description["versions"]["numpy"] == np.__version__
    assert build["error"].startswith("FileNotFoundError")
    assert run["error"].startswith("AssertionError")


@pytest.fixture(scope="module")
def zoo_process():
    """Zoo in a process that compiles nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        with PeerProcess("zoo", 1) as process:
            yield process


def test_error_of_zoo_is_passed_on(zoo_process, tmp_path):
    with pytest.raises(BenchError, match=r"^cell 'clockwork': .* choose sizes .* H=4 or H=8[.]$"):
        time_cell("clockwork", Shape(2, 2, 7), settings(), zoo_process, (), tmp_path)


@pytest.mark.parametrize(
    "name",
    [name for name, peer in PEERS.items() if None in map(importlib.util.find_spec, peer.packages)],
)
def test_missing_peer_raises(name):
    with pytest.raises(
        UsageError, match=rf"^bench: {name} cannot be imported \(ModuleNotFoundError: .*\); .*install"
    ):
        PeerProcess(name, 1)


def test_peak_is_plausible(zoo_process):
    assert 0 < zoo_process.ask("peak", threads=1, dtype="float64")["gflops"] < 1000


def test_dead_process_raises():
    with PeerProcess("zoo", 1) as process:
        process.wait(0.0)
        with pytest.raises(BenchError, match="the process ended with"):
            process.ask("describe")


class Scripted:
    """A process with fixed answers."""

    def __init__(self, name, seconds=1e-3, **changes):
        self.name, self.seconds = name, seconds
        self.answer = {
            "loss": 4.0,
            "gradient": 1.0,
            "first_s": 0.5,
            "way": "rows",
            "note": "",
            "remark": "",
            **changes,
        }
        self.requests = []

    def supports(self, cell):
        return cell == "vanilla"

    def ask(self, what, **arguments):
        self.requests.append(what)
        if "error" in self.answer and what == "build":
            raise BenchError(self.answer["error"])
        return {
            "make_problem": {
                "flops": 2_000_000,
                "counted": "shapes",
                "functions": None,
                "traffic": {"weights": [64, 128]},
            },
            "build": self.answer,
            "peak": {"gflops": float(len(self.requests))},
            "functions": {"speed": 1.0},
            "bandwidth": {"speed": 2.0},
            "run": {"seconds": [10.0, *[self.seconds] * (arguments.get("calls", 1) - 1)], "busy": 1.0},
        }[what]


@pytest.mark.parametrize(
    ("caches", "level"),
    [({}, None), ({"L1": 32}, "memory"), ({"L1": 32, "L2": 64}, "L2"), ({"L1": 64}, "L1")],
    ids=str,
)
def test_demands_have_the_level_of_their_array(caches, level, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.bench.bench.cache_sizes", lambda: caches)
    timing = time_cell("vanilla", TINY, settings(seconds=0.06), Scripted("zoo"), [], tmp_path)
    demands = () if level is None else (Demand("weights", 128e-9, 2.0, level),)
    assert (timing.weight_bytes, timing.demands) == (64, demands)
    assert [each.resource for each in timing.demands] == [level] * len(demands)
    assert Demand("functions", 1.0, 2.0).resource == "functions"


def test_efficiency_uses_the_best_peak(tmp_path):
    disturbed, quiet = (
        time_cell(
            "vanilla", TINY, settings(seconds=0.06), Scripted("zoo"), [Scripted("torch", 2e-3)], tmp_path
        )
        for _ in range(2)
    )
    disturbed = replace(disturbed, peak_gflops=quiet.peak_gflops / 2)
    one, other = normalise_by_peak([disturbed, quiet])
    assert one.peak_gflops == quiet.peak_gflops / 2  # as it was measured
    assert one.steps == other.steps
    assert [step.efficiency for step in one.steps] == pytest.approx(
        [2e6 / seconds / 1e9 / quiet.peak_gflops for seconds in (1e-3, 2e-3)]
    )


def test_rounds_are_interleaved(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.bench.bench.cache_sizes", lambda: {"L1": 32})  # so reads come from memory
    zoo_, peer, other = Scripted("zoo"), Scripted("torch", 2e-3), Scripted("jax", 4e-3)
    timing = time_cell("vanilla", TINY, settings(seconds=0.06), zoo_, [peer, other], tmp_path)
    assert [step.contender for step in timing.steps] == ["zoo", "torch", "jax"]
    assert (timing.zoo_step.least_s, timing.zoo_step.median_s, timing.zoo_step.calls) == (
        1e-3,
        1e-3,
        10 * ROUNDS,
    )
    assert [step.least_s for step in timing.timed_peers] == [2e-3, 4e-3]
    assert timing.peak_gflops == 4 * ROUNDS  # the best: this one grows with every request
    (timing,) = normalise_by_peak([timing])
    assert timing.zoo_step.efficiency == pytest.approx(2e6 / 1e-3 / 1e9 / timing.peak_gflops)
    in_a_round = ["peak", "functions", "bandwidth", "run"]
    assert zoo_.requests == ["make_problem", "build", "run", *in_a_round * ROUNDS]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"loss": 4.001}, "rejected: its loss is 4.001, that of zoo 4"),
        ({"loss": float("nan")}, "rejected: its loss is nan, that of zoo 4"),
        ({"gradient": 1.01}, "rejected: its norm of the gradient is 1.01, that of zoo 1"),
        ({"error": "no memory"}, "rejected: it fails (no memory)"),
    ],
)
def test_peer_with_other_results_is_rejected(changes, note, tmp_path):
    peer = Scripted("torch", **changes)
    timing = time_cell("vanilla", TINY, settings(), Scripted("zoo"), [peer], tmp_path)
    assert timing.steps[1] == StepTiming("vanilla", "4x3x8", "torch", note=note)
    assert (peer.requests, timing.timed_peers) == (["build"], ())


def test_unsupported_cell_is_not_timed(tmp_path):
    peer = Scripted("jax")
    peer.answer = {"unsupported": "cell 'vanilla' draws noise"}
    timing = time_cell("vanilla", TINY, settings(), Scripted("zoo"), [peer], tmp_path)
    note = "not measured: cell 'vanilla' draws noise"
    assert timing.steps[1] == StepTiming("vanilla", "4x3x8", "jax", note=note)
    assert peer.requests == ["build"]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"W": (3.0, 1.0), "b": (1e-9, 1e-9)}, ""),
        ({"W": (3.002, 1.002), "b": (4e-6, 4e-6)}, ""),
        ({"W": (3.1, 1.0)}, "the norm of its gradient of W is 3.1, that of zoo 3"),
        ({"W": (3.0, -1.0)}, "the projection of its gradient of W is -1, that of zoo 1"),
        ({"W": (3.0, 1.0), "b": (0.1, 0.0)}, "the norm of its gradient of b is 0.1, that of zoo 0"),
        ({"W": (float("nan"), 1.0)}, "the norm of its gradient of W is nan, that of zoo 3"),
    ],
)
def test_gradients_of_all_parameters_are_compared(changes, note):
    reference = {
        "loss": 4.0,
        "gradient": 1.0,
        "gradients": {"W": (3.0, 1.0), "b": (0.0, 0.0), "c": (4.0, 2.0)},
    }
    assert mismatch(reference, {"loss": 4.0, "gradient": 1.0, "gradients": changes}) == note


def test_summary_of_a_gradient_finds_sign_and_order():
    gradient = np.arange(6.0).reshape(2, 3)
    size, projection = summary(gradient)
    assert size == pytest.approx(np.sqrt(55))
    assert summary(-gradient) == pytest.approx((size, -projection))
    assert abs(summary(gradient[::-1])[1] - projection) > 0.1


def test_server_reports_unsupported_problems(monkeypatch, tmp_path):
    zoo_peer.make_problem("vanilla", TINY, "float32", 1).save(tmp_path / "problem.npz")

    def build(problem):
        raise UnsupportedProblemError(f"no {problem.cell}")

    server = PeerServer("zoo")
    monkeypatch.setattr(server.module, "build", build)
    assert server.build(str(tmp_path / "problem.npz")) == {"unsupported": "no vanilla"}


def test_server_sums_up_all_gradients(tmp_path):
    problem = zoo_peer.make_problem("lstm", TINY, "float64", 1)
    problem.save(tmp_path / "problem.npz")
    with kernels.pure_python():
        answer = PeerServer("zoo").build(str(tmp_path / "problem.npz"))
        (variant,) = zoo_peer.build(problem)
        variant.check()
    assert answer["gradients"].keys() == problem.params.keys()
    assert answer["gradients"]["Wx"] == summary(variant.gradients()["Wx"])
    assert answer["gradient"] == pytest.approx(answer["gradients"]["Wx"][0])


def test_problem_contains_buffers(tmp_path):
    problem = zoo_peer.make_problem("esn", TINY, "float64", 1)
    problem.save(tmp_path / "problem.npz")
    loaded = load(tmp_path / "problem.npz")
    assert loaded.buffers.keys() == zoo.get_cell("esn").buffers.keys() != set()
    for name, value in problem.buffers.items():
        np.testing.assert_array_equal(loaded.buffers[name], value, strict=True)


def test_cell_with_scalar_parameters_makes_a_problem():
    problem = zoo_peer.make_problem("fastrnn", TINY, "float64", 1)
    assert () in [value.shape for value in problem.params.values()]
    assert zoo_peer.input_weights(zoo.get_cell("fastrnn")) == ["Wx"]


def test_other_equations_are_timed_with_a_note(tmp_path):
    peer = Scripted("torchrecurrent", loss=4.2, note="other equations: its own")
    (step,) = time_cell("vanilla", TINY, settings(), Scripted("zoo"), [peer], tmp_path).timed_peers
    assert step.note == "other equations: its own"


def test_mismatch_ignores_rounding():
    zoo_process = {"loss": 4.0, "gradient": 1.0}
    assert mismatch(zoo_process, {"loss": 4.0003, "gradient": 1.0009}) == ""


def test_peer_without_the_cell_is_skipped(tmp_path):
    zoo_process = Scripted("zoo")
    assert len(time_cell("lstm", TINY, settings(), zoo_process, [Scripted("torch")], tmp_path).steps) == 1


def test_measure_runs_all_sections(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    results = measure(settings(starts=False, sampling=True))
    (timing,) = results.races
    assert (timing.cell, timing.shape, timing.counted, len(timing.steps)) == ("vanilla", "4x3x8", "shapes", 1)
    assert timing.zoo_step.least_s is not None
    assert 0 < timing.zoo_step.least_s <= timing.zoo_step.median_s
    assert timing.peak_gflops > 0
    (sampling,) = results.sampling
    assert 0 < sampling.median <= sampling.best
    assert {"zoo", "python", "numba", "numpy"} <= results.versions.keys()
    titles = [sheet.title for sheet in result_tables(results)]
    assert titles == ["Training steps", "What limits zoo", "Sampling one stream"]


def test_scaling_changes_one_size_at_a_time():
    for letter, sizes in SIZES.items():
        columns = [{getattr(shape, name) for shape in sizes} for name in ("steps", "batch", "hidden")]
        assert [len(column) > 1 for column in columns] == [letter == each for each in "TBH"]


# ---- peers --------------------------------------------------------------------------------------------


@pytest.mark.skipif("torch" not in installed_peers(), reason="needs torch")
@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        (name, inputs)
        for name in installed_peers()
        for inputs in ("tokens", "dense")
        if name != "pytensor" and (inputs == "tokens" or PEERS[name].takes_dense)
    ],
)
@pytest.mark.parametrize("measure", ["model", "layer", "stream"])
def test_peers_agree_on_every_supported_cell(name, inputs, measure, zoo_process, tmp_path):
    with PeerProcess(name, 1) as peer:
        with_noise = ["gru+zoneout"] if name == TORCH_LAYER else []  # only zoo has its generator
        for cell in peer.cells or ["lstm", "esn", *with_noise]:
            features = 7 if inputs == "dense" else None
            shape = Shape(12, 2, 9 if cell != "lstm_projected" else 40, features)
            given = settings(shapes=(shape,), seconds=1e-3, inputs=inputs, measure=measure)
            step = time_cell(cell, shape, given, zoo_process, [peer], tmp_path).steps[1]
            if measure == "stream" and step.note.startswith("not measured: "):
                assert name not in ("torch", "jax") or "written by hand" in step.note, step
                continue
            assert step.least_s is not None, step
            assert step.note == "" or step.note.startswith(("other equations", "a call takes "))


# ---- telling ------------------------------------------------------------------------------------------


def sheet(title):
    return next(each for each in result_tables(made()) if each.title == title)


def test_steps_table():
    zoo_process, torch, *_, rejected = sheet("Training steps").rows
    assert zoo_process == ("lstm", "1×1×1", "zoo", "1", "1", "", "", "0.50", "", "0.1", "")
    assert torch[3:7] == ("2", "4", "2.00", "4.00")
    assert rejected == ("gru", "1×1×1", "jax", *"–––––––", "rejected: its loss is 1, that of zoo 2")


def test_summary_has_geometric_means_and_fastest_peer():
    rows = {row[1]: row[2:] for row in sheet("All shapes together").rows}
    assert rows["torch"] == ("2", "4.00", "2.00", "8.00", "4.00")  # √(2 · 8), by medians √(4 · 16)
    assert rows["jax"] == ("2", "2.00", "1.00", "4.00", "2.00")
    assert rows[tables.FASTEST] == ("2", "1.41", "1.00", "2.83", "2.00")  # √(2 · 1)


def test_scaling_is_relative_to_the_first_size():
    assert [row[-1] for row in sheet("Time per symbol as T grows").rows] == ["1.00", "1.50"]


def test_rows_match_their_headings():
    for each in result_tables(made()):
        assert {len(row) for row in each.rows} == {len(each.headings)}
        assert max(each.right) < len(each.headings)


def test_surroundings_and_remarks():
    lines = describe_setup(made())
    assert lines[0].startswith("2026-01-01 00:00 UTC: P, 2 processors")
    assert lines[-1] == "torch has no gru."


def test_markdown_creates_a_file_and_fills_its_marker(tmp_path):
    page = tmp_path / "page.md"
    write_tables(DocumentMarker(page, "", "bench"), made())
    first = page.read_text(encoding="utf-8")
    assert first.startswith(f"{BEGINNING}zoo bench -->\n")
    assert first.endswith(f"{END}\n")
    assert "| lstm | 1×1×1 | torch | 2 | 4 | 2.00 | 4.00 |" in first
    page.write_text(f"above\n{BEGINNING}older -->\nold\n{END}\nbelow\n", encoding="utf-8")
    write_tables(DocumentMarker(page, "", "bench"), made())
    assert page.read_text(encoding="utf-8") == f"above\n{first}below\n"


def test_document_may_have_several_markers(tmp_path):
    page = tmp_path / "page.md"
    second = f"<!-- text, made by: older -->\nold\n{END}\n"
    page.write_text(f"{BEGINNING}older -->\nfirst\n{END}\nbetween\n{second}below\n", encoding="utf-8")
    parse_marker(f"{page}#text", "compare").write("zoo", ["new"])
    text = page.read_text(encoding="utf-8")
    assert text == (
        f"{BEGINNING}older -->\nfirst\n{END}\nbetween\n<!-- text, made by: zoo -->\n\nnew\n\n{END}\nbelow\n"
    )
    with pytest.raises(UsageError, match="begins with <!-- tasks, made by: and"):
        parse_marker(f"{page}#tasks", "compare").check()
    with pytest.raises(UsageError, match="write it as FILE or FILE#NAME"):
        parse_marker(f"{page}#two words", "compare")
    unclosed = f"{BEGINNING}x -->\n<!-- text, made by: x -->\n{END}\n"
    with pytest.raises(UsageError, match="has no place"):
        DocumentMarker(page, "", "bench").replace(unclosed, "block")


@pytest.mark.parametrize(
    "text", ["", "words\n", f"{END}\n{BEGINNING}x -->\n", f"{BEGINNING}x -->\n" * 2 + END]
)
def test_markdown_changes_no_other_file(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="has no place for the tables"):
        DocumentMarker(page, "", "bench").check()
    with pytest.raises(UsageError):
        DocumentMarker(Path("page.md"), "", "bench").replace(text, "block")
    DocumentMarker(tmp_path / "new.md", "", "bench").check()


# ---- comparing ----------------------------------------------------------------------------------------


def baseline_of(tmp_path, results=None, **settings_):
    path = tmp_path / "old.json"
    results = results or made()
    results = replace(results, settings={**results.settings, **settings_})
    path.write_text(json.dumps({"format": 1, **asdict(results)}), encoding="utf-8")
    return read_baseline(path)


def test_equal_run_has_no_regression(tmp_path):
    changes = compare(baseline_of(tmp_path), made())
    assert len(changes) == 4
    assert not any(change.regressed for change in changes)


def test_regression_needs_both_ratios_to_fall(tmp_path):
    baseline = baseline_of(tmp_path)
    regressions = [change for change in compare(baseline, slower(made(), 1.2)) if change.regressed]
    assert str(regressions[0]) == (
        "lstm 1x1x1, torch: 2.00 (4.00 by medians) then, 1.67 (3.33 by medians) now"
    )
    assert len(regressions) == 2
    assert not any(change.regressed for change in compare(baseline, slower(made(), 1.15)))
    assert not any(
        change.regressed for change in compare(baseline, slower(made(), 1.5, by_medians_too=False))
    )


def test_compare_requires_same_settings(tmp_path):
    with pytest.raises(UsageError, match="has threads 2, this run has 1"):
        check_comparable(baseline_of(tmp_path, threads=2), settings())
    with pytest.raises(UsageError, match="no cell, shape and peer in common"):
        compare(Baseline(tmp_path, {}, {}), made())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"races": [{}], "settings": {}}', '{"races": 3}'])
def test_invalid_baseline_raises(text, tmp_path):
    path = tmp_path / "old.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"is not a file of `zoo bench --json`"):
        read_baseline(path)
    with pytest.raises(UsageError, match=r"nothere\.json: no such file or directory"):
        read_baseline(tmp_path / "nothere.json")


# ---- charts -------------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_charts(ending, tmp_path):
    from zoo.bench.chart import draw_charts

    files = draw_charts(tmp_path / f"chart{ending}", made())
    assert [file.name for file in files] == [f"chart{ending}", f"chart-growth{ending}"]
    assert all(file.stat().st_size > 1000 for file in files)


def test_threads_can_be_all_processors():
    assert settings(threads=available_processors()).threads == available_processors()


@pytest.mark.parametrize("processors", [1, 2, 64])
@pytest.mark.parametrize("share", [None, 0.0, 0.35, 0.5, 0.6, 2.0])
def test_load_of_half_of_the_processors_is_remarked(processors, share):
    load = None if share is None else share * processors
    remarks = list(bench._load_remarks({"load": load, "processors": processors}))
    assert bool(remarks) == ((share or 0) > 0.5)
    count = "1 processor:" if processors == 1 else f"{processors} processors:"
    assert all(f"was {load} at the start, with {count}" in remark for remark in remarks)
