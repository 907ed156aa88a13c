"""Training by several processes under MPI: the same bits, whatever their number, and after a kill."""

from __future__ import annotations

import contextvars
import importlib
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from crash_tests.trainings import Ranks
from safetensors.numpy import load_file

import zoo
from zoo.cli.app import cli
from zoo.data import LabelledSequences
from zoo.distributed import rank_of_launch
from zoo.distributed.collectives import ProcessGroup
from zoo.kernels import pure_python
from zoo.layers.sharding import shards
from zoo.model.two_pass_step import ActivityPenalty
from zoo.storage import RunDirectory
from zoo.training.config_conversion import make_config
from zoo.training.sequence_preparation import prepare_sequences
from zoo.training.text_dataset import prepare_text

LAUNCHER = shutil.which(
    "mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
)
TRAIN = [
    "train",
    "--cell",
    "vanilla",
    "--data",
    "builtin:pydoc",
    "--hidden",
    "16",
    "--batch",
    "40",
    "--seq",
    "8",
]
TRAIN += ["--eval-every", "5", "--threads", "1", "--quiet"]
REGULARISED = ["--penalty", "activity=l2:0.1", "--penalty", "Why=l1:1e-3", "--constraint", "Why=nonnegative"]
REGULARISED += ["--param-group", "by:lr_factor=0.5"]


@pytest.fixture(scope="module")
def mpi_library() -> None:
    """Skip the test unless mpi4py is installed and finds an MPI library."""
    try:
        importlib.import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:  # mpi4py raises RuntimeError without a library
        pytest.skip(f"needs mpi4py and an MPI library: {str(error).splitlines()[0]}")


@pytest.fixture(scope="module")
def mpiexec() -> str:
    pytest.importorskip("mpi4py")
    if LAUNCHER is None:
        pytest.skip("there is no mpiexec")
    probe = [LAUNCHER, "-n", "2", sys.executable, "-c", "from mpi4py import MPI"]
    done = subprocess.run(probe, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"MPI starts no two processes on this machine: {done.stderr.strip()[-200:]}")
    return LAUNCHER


def arrays(run: Path) -> dict[str, np.ndarray]:
    """All numbers of the last checkpoint."""
    return load_file(max((run / "checkpoints").glob("*.safetensors")))


def assert_same_run(actual: Path, expected: Path) -> None:
    one, other = arrays(actual), arrays(expected)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name].tobytes() != other[name].tobytes()] == []
    losses = [
        [each["loss"] for each in zoo.Run(run).history if each["event"] == "eval"]
        for run in (actual, expected)
    ]
    assert losses[0][-2:] == losses[1][-2:]


def run(*words: str, ranks: int, launcher: str) -> subprocess.CompletedProcess[str]:
    command = [launcher, "-n", str(ranks), sys.executable, "-m", "zoo", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=300)


# More ranks than there are processors, and one of them has a single shard of five. Two cases resume the run
# with more ranks: the second launch takes 1.5 s of a processor.
@pytest.mark.parametrize(
    ("flags", "launches"),
    [
        (["vanilla"], {2: "10", 4: "20"}),
        (["lstm,gru+zoneout", "--learned-state", *REGULARISED], {2: "10", 3: "20"}),
        (["vanilla", "--embedding", "16", "--tie", "--scheduled-sampling", "0.5"], {3: "20"}),
        (["vanilla", "--embedding", "8", "--level", "token"], {3: "20"}),  # a vocabulary of 20,000
    ],
    ids=["vanilla", "lstm,gru, penalties", "tied", "large"],
)
def test_ranks_compute_the_bits_of_one_process_and_resume(
    mpiexec: str, tmp_path: Path, flags: list[str], launches: dict[int, str]
) -> None:
    train = [*TRAIN[:2], *flags, *TRAIN[3:]]
    if "token" in flags:
        tokens = np.random.default_rng(0).integers(0, 20_000, 40_000)
        tokens[0] = 19_999
        np.save(tmp_path / "tokens.npy", tokens)
        train[train.index("builtin:pydoc")] = str(tmp_path / "tokens.npy")
    alone = CliRunner().invoke(cli, [*train, "--steps", "20", "--out", str(tmp_path / "one")])
    assert alone.exit_code == 0, alone.output
    for ranks, steps in launches.items():
        words = ["--resume", "--steps", steps, "--out", str(tmp_path / "several")]
        done = run(*train, *words, ranks=ranks, launcher=mpiexec)
        assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "several", tmp_path / "one")
    assert [each["ranks"] for each in zoo.Run(tmp_path / "several").history if "ranks" in each] == [*launches]


class ThreadRank(ProcessGroup):
    """One of two ranks, each of which is a thread and computes one of two shards."""

    size, needs_shard_gradients = 2, True

    def __init__(self, rank, ranks, barrier):
        self.rank, self.ranks, self.barrier = rank, ranks, barrier

    def exchange(self, value):
        self.ranks[self.rank] = value
        self.barrier.wait()
        values = list(self.ranks)
        self.barrier.wait()
        return values

    def local_shards(self, batch):
        return shards(batch)[self.rank :][:1]

    def sum_gradients(self, gradients, total, batch):
        super().sum_gradients(list(chain(*self.exchange(gradients))), total, batch)

    def all_gather_floats(self, local, batch):
        return list(chain(*self.exchange(local)))

    def all_gather_states(self, states, batch):
        parts = zip(shards(batch), self.exchange(states), strict=True)
        return {"": np.concatenate([part[""][shard] for shard, part in parts])}


def gradient_with_lengths(group: ProcessGroup, kind: str) -> tuple[float, np.ndarray]:
    """Loss and gradient for sequences whose order by length differs from their order in the batch."""
    lengths, rng = np.array([2, 3, 1, 3, 2, 3, 1, 3, 2]), np.random.default_rng(0)
    if kind == "penalty":
        model = zoo.SequenceModel("vanilla", 2, 1, 3, loss="squared_error", dtype="float64", threads=1)
        model.activity_penalty = ActivityPenalty([zoo.get_penalty("l2", factor=1.0)])
        data = rng.normal(size=(3, 9, 2)), rng.normal(size=(9, 1))
    else:
        others = {"hidden_size": 3, "embedding": 2, "dtype": "float64", "threads": 1}
        model = zoo.LanguageModel("abcde", **others)
        if kind == "embedding of classified sequences":
            model = zoo.SequenceModel("vanilla", 5, 5, **others)
        data = tuple(rng.integers(0, 5, (2, 3, 9)))
    model.process_group = group
    return model.loss_and_grad(*data, lengths=lengths)[0], model.grad


@pytest.mark.parametrize("kind", ["penalty", "embedding", "embedding of classified sequences"])
def test_ranks_compute_the_bits_of_one_process_with_lengths(kind: str) -> None:
    ranks, barrier = [None, None], threading.Barrier(2, timeout=60)
    with pure_python(), ThreadPoolExecutor(2) as pool:
        expected = gradient_with_lengths(ProcessGroup(), kind)
        results = [
            pool.submit(
                contextvars.copy_context().run,
                gradient_with_lengths,
                ThreadRank(rank, ranks, barrier),
                kind,
            )
            for rank in range(2)
        ]
        for result in results:
            loss, gradient = result.result()
            assert loss == expected[0]
            assert (gradient == expected[1]).all()


def window_losses(group: ProcessGroup, unlabelled: int) -> list[float]:
    """Losses of windows of sequences with labels of steps, whose states are carried to the next."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(unlabelled + length, 2)) for length in rng.integers(2, 19, 30)]
    labels = [np.where(part[:, 0] > 0, "a", "b").astype(object) for part in parts]
    for row in labels:
        row[:unlabelled] = None
    settings = {"data": ("x",), "kind": "sequences", "pooling": "none", "seq": 4, "batch": 9, "threads": 1}
    given = make_config({**settings, "dtype": "float64", "hidden": 3})
    config, dataset = prepare_sequences(given, LabelledSequences.from_arrays(parts, labels))
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    model.process_group, states, losses = group, None, []
    for step in range(dataset.steps_per_epoch):
        loss, states, _ = dataset.loss_and_grad(model, step, states, (0, step))
        losses += [loss, *model.grad]
    assert dataset.windows is not None
    assert unlabelled == 0 or dataset.steps_per_epoch < dataset.windows.batches_per_epoch
    return losses


@pytest.mark.parametrize("unlabelled", [0, 20])
def test_ranks_carry_states_of_windows_of_other_lengths(unlabelled: int) -> None:
    """A sequence that is shorter than others in a batch may belong to another rank in its next window."""
    ranks, barrier = [None, None], threading.Barrier(2, timeout=60)
    with pure_python(), ThreadPoolExecutor(2) as pool:
        expected = window_losses(ProcessGroup(), unlabelled)
        results = [
            pool.submit(
                contextvars.copy_context().run, window_losses, ThreadRank(rank, ranks, barrier), unlabelled
            )
            for rank in range(2)
        ]
        for result in results:
            assert result.result() == expected


def test_ranks_sample_the_inputs_of_one_process(tmp_path: Path) -> None:
    """Scheduled sampling: each rank has only the states of its rows, and needs the tokens of all."""
    (tmp_path / "x.txt").write_text("the cat sat on the mat. " * 9)
    settings = {"data": (str(tmp_path / "x.txt"),), "batch": 9, "seq": 4, "split": "100", "threads": 1}
    config, dataset = prepare_text(make_config({**settings, "hidden": 3, "scheduled_sampling": 0.9}))
    inputs = dataset.train.window(0).inputs
    state = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32) * 9
    ranks, barrier = [None, None], threading.Barrier(2, timeout=60)

    def mixed_inputs(group, rows):
        model = dataset.make_model(zoo.get_cell("vanilla"), config)
        model.process_group, model.theta = group, model.theta * 9
        local = np.zeros_like(state)
        local[rows] = state[rows]
        return dataset._mixed_inputs(model, config.steps, inputs, {"h": local}, (0, 1))

    with pure_python(), ThreadPoolExecutor(2) as pool:
        expected = mixed_inputs(ProcessGroup(), slice(9))
        assert (expected != inputs).any()
        results = [
            pool.submit(
                contextvars.copy_context().run,
                mixed_inputs,
                ThreadRank(rank, ranks, barrier),
                shards(9)[rank],
            )
            for rank in range(2)
        ]
        for result in results:
            np.testing.assert_array_equal(result.result(), expected)


def test_killed_rank_ends_job_and_run_resumes_bit_exactly(mpiexec: str, tmp_path: Path) -> None:
    scenario, out = Ranks("ranks"), tmp_path / "killed"
    scenario.prepare(tmp_path)
    command = scenario.start(out)
    assert command.wait_until(lambda: len(RunDirectory(out).checkpoints()) > 1), command.tail()
    assert scenario.kill(command, "rank 1") == "rank 1"  # which waits for the end of the other one
    scenario.train(out)
    scenario.compare(out)
    assert [each["ranks"] for each in zoo.Run(out).history if "ranks" in each] == [2, 1]


def test_error_of_all_ranks_is_printed_once(mpiexec: str, tmp_path: Path) -> None:
    (tmp_path / "foreign").write_text("mine")
    done = run(*TRAIN, "--steps", "1", "--out", str(tmp_path), ranks=2, launcher=mpiexec)
    assert done.returncode != 0
    assert done.stderr.count("Error:") == 1
    assert "choose an empty or new directory" in done.stderr


@pytest.mark.parametrize("batch", [1, 8, 40, 129, 1000])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 20])
@pytest.mark.usefixtures("mpi_library")
def test_every_shard_belongs_to_one_rank(batch: int, size: int) -> None:
    from zoo.distributed.mpi import shards_by_rank

    result = shards_by_rank(batch, size)
    assert len(result) == size
    assert [each for part in result for each in part] == list(shards(batch))
    counts = [len(part) for part in result if part]
    assert max(counts) - min(counts) <= 1


@pytest.mark.usefixtures("mpi_library")
def test_cost_model_recovers_link_cost() -> None:
    import measure_mpi_scaling

    link = measure_mpi_scaling.Link(rate=1e8, latency=2e-5)
    sums = {str(size): link.total(size, 2) for size in measure_mpi_scaling.SIZES}
    cost = measure_mpi_scaling.fit_link(sums)
    assert cost.rate == pytest.approx(link.rate, rel=0.2)
    assert link.total(1000, 1) == 0 < link.total(1000, 2) < link.total(1000, 8)
    lines = list(
        measure_mpi_scaling.table_lines(
            *[
                {"steps": {str(h): h * 1e-4 / n for h in measure_mpi_scaling.HIDDEN}, "sums": sums}
                for n in (1, 2)
            ]
        )
    )
    assert sum("100%" in line for line in lines) == len(measure_mpi_scaling.HIDDEN)


def test_launcher_environment_gives_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rank_of_launch() == 0
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "3")
    assert rank_of_launch() == 3
