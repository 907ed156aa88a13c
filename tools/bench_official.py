"""Measure training steps whose recurrence is the authors' own PyTorch code, next to zoo and ``torch.eager``.

    git clone https://github.com/fla-org/flash-linear-attention clones/flash-linear-attention
    git clone https://github.com/state-spaces/mamba clones/mamba
    git clone https://github.com/NX-AI/mlstm_kernels clones/mlstm_kernels
    pip install '.[peers]' einops
    python tools/bench_official.py --clones clones --markdown docs/benchmarks.md

The products, the norm, the gate, the readout and the loss around the authors' function are those of the cell
in zoo, in PyTorch. Loss and gradients of all parameters must equal those of zoo. Times are processor times of
one thread, the least of interleaved rounds. Only the file that defines a function is loaded from a clone. A
module that it imports and that is not installed or that needs Triton becomes an empty one.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch
import torch.nn.functional as F

from zoo.bench.bench import mismatch
from zoo.bench.machine import machine_info
from zoo.bench.peers import torch_eager
from zoo.bench.peers import zoo as zoo_peer
from zoo.bench.peers.problem import Problem, Variant, norm, summary
from zoo.bench.settings import Shape, parse_shapes
from zoo.registry import resolve_cell
from zoo.storage.document_marker import parse_marker
from zoo.tables import TextTable

Tensor = Any
Params = Mapping[str, Tensor]
FLA, MAMBA, MLSTM = "flash-linear-attention", "mamba", "mlstm_kernels"
OWNERS = {FLA: "fla-org", MAMBA: "state-spaces", MLSTM: "NX-AI"}
ROUNDS = 12


@dataclass(frozen=True)
class OfficialStep:
    """A cell with a function of its authors as its recurrence.

    Args:
        cell: Name of the cell.
        repository: Name of the repository, which is that of its clone.
        path: File in the repository.
        function: Name of the function.
        recur: ``recur(function, params, options, x)``, from inputs ``(B, T, ·)`` as functions of matrices to
            outputs ``(B, T, H)``.
        form: How the function computes the recurrence: ``"loop"``, ``"chunks"`` or ``"parallel"``.
    """

    cell: str
    repository: str
    path: str
    function: str
    recur: Callable[..., Tensor]
    form: str


Project = Callable[[Tensor], Tensor]
"""From a matrix to the products of x with it, ``(B, T, ·)``."""


def _heads(x: Tensor, heads: int) -> Tensor:
    """``(B, T, H)`` as ``(B, heads, T, D)``."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def _rms_norm(x: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def _gla(function: Any, p: Params, options: Mapping[str, Any], project: Project) -> Tensor:
    heads = options["heads"]
    q, k, v, g = torch.split(project(p["Wx"]), [n * p["Wx"].shape[1] // 6 for n in (1, 1, 2, 2)], -1)
    decay = F.logsigmoid(project(p["Wa"]) @ p["Wr"] + p["b"]) / options["tau"]
    o, _ = function(*(each.unflatten(-1, (heads, -1)) for each in (q, k, v, decay)))
    return (F.silu(g) * (p["gain"] * _rms_norm(o, 1e-5)).flatten(2)) @ p["Wo"]


def _retnet(function: Any, p: Params, options: Mapping[str, Any], project: Project) -> Tensor:
    heads = options["heads"]
    q, k, v, g = project(p["Wx"]).chunk(4, -1)
    q, k, v = (_heads(each, heads) for each in (q, k, v))
    angles = torch.arange(q.shape[2], dtype=q.dtype)[:, None] * p["theta"]
    o = function(_turned(q, angles), _turned(k, angles), v)
    return (F.silu(g) * _joined(_rms_norm(o, 1e-6))) @ p["Wo"]


def _turned(x: Tensor, angles: Tensor) -> Tensor:
    """Pairs of entries turned by the angle of their time step."""
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def _delta_net(function: Any, p: Params, options: Mapping[str, Any], project: Project) -> Tensor:
    q, k, v = (_heads(each, options["heads"]) for each in F.silu(project(p["Wx"])).chunk(3, -1))
    beta = torch.sigmoid(project(p["Wb"])).transpose(1, 2)
    return _joined(function(_unit(q), _unit(k), v, beta)[0])


def _gated_delta_net(function: Any, p: Params, options: Mapping[str, Any], project: Project) -> Tensor:
    parts = F.silu(project(p["Wx"])).chunk(3, -1)
    q, k, v = (each.unflatten(-1, (options["heads"], -1)) for each in parts)
    beta = torch.sigmoid(project(p["Wb"]))
    decay = -p["A"].exp() * F.softplus(project(p["Wa"]) + p["ba"])
    return function(q=_unit(q), k=_unit(k), v=v, beta=beta, g=decay)[0].flatten(2)


def _mamba(function: Any, p: Params, options: Mapping[str, Any], project: Project) -> Tensor:
    u, z = project(p["Wx"]).chunk(2, -1)
    width, channels = p["taps"].shape
    u = F.conv1d(u.transpose(1, 2), p["taps"].T[:, None], p["b"], padding=width - 1, groups=channels)
    u = F.silu(u[..., : z.shape[1]]).transpose(1, 2)
    rank, order = options["rank"], options["order"]
    dt, b, c = torch.split(u @ p["Wu"], [rank, order, order], -1)
    by_time = (each.transpose(1, 2) for each in (u, dt @ p["Wd"]))
    matrices = -p["A"].exp(), b.transpose(1, 2), c.transpose(1, 2), p["D"], z.transpose(1, 2), p["bd"]
    return function(*by_time, *matrices, delta_softplus=True).transpose(1, 2) @ p["Wo"]


def _matrix_lstm(function: Any, p: Params, options: Mapping[str, Any], project: Project) -> Tensor:
    heads = options["heads"]
    q, k, v, o = (project(p["Wx"]) + p["b"]).chunk(4, -1)
    i, f = (project(p["Wg"]) + p["bg"]).transpose(1, 2).chunk(2, 1)
    h = function(*(_heads(each, heads) for each in (q, k, v)), i, f)
    return torch.sigmoid(o) * _joined(h)


_NATIVE = "mlstm_kernels/torch"
STEPS = (
    OfficialStep("gla", FLA, "fla/ops/gla/naive.py", "naive_recurrent_gla", _gla, "loop"),
    OfficialStep("retnet", FLA, "fla/ops/retention/naive.py", "naive_retention", _retnet, "parallel"),
    OfficialStep(
        "delta_net", FLA, "fla/ops/delta_rule/naive.py", "delta_rule_recurrence", _delta_net, "loop"
    ),
    OfficialStep(
        "delta_net", FLA, "fla/ops/delta_rule/naive.py", "delta_rule_chunkwise", _delta_net, "chunks"
    ),
    OfficialStep(
        "gated_delta_net",
        FLA,
        "fla/ops/gated_delta_rule/naive.py",
        "naive_recurrent_gated_delta_rule",
        _gated_delta_net,
        "loop",
    ),
    OfficialStep(
        "gated_delta_net",
        FLA,
        "fla/ops/gated_delta_rule/naive.py",
        "naive_chunk_gated_delta_rule",
        _gated_delta_net,
        "chunks",
    ),
    OfficialStep(
        "mamba", MAMBA, "mamba_ssm/ops/selective_scan_interface.py", "selective_scan_ref", _mamba, "loop"
    ),
    OfficialStep(
        "matrix_lstm",
        MLSTM,
        f"{_NATIVE}/recurrent/native_sequence.py",
        "mlstm_recurrent_sequence__native_fw",
        _matrix_lstm,
        "loop",
    ),
    OfficialStep(
        "matrix_lstm",
        MLSTM,
        f"{_NATIVE}/chunkwise/native/fwbw.py",
        "mlstm_chunkwise__native_custbw",
        _matrix_lstm,
        "chunks",
    ),
)


class _EmptyModules:
    """Finder of empty modules.

    Args:
        accepts: Whether a module of this name is empty.
    """

    def __init__(self, accepts: Callable[[str], bool]) -> None:
        self.accepts = accepts

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:  # noqa: ARG002
        if not self.accepts(name):
            return None
        return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> ModuleType:
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


def load_function(step: OfficialStep, clones: Path) -> Any:
    """Load the function of the authors from the file in their clone."""
    folder = clones / step.repository
    parts = Path(step.path).with_suffix("").parts
    for depth in range(1, len(parts)):  # packages without their __init__, which import kernels for GPUs
        name = ".".join(parts[:depth])
        package = sys.modules.setdefault(name, ModuleType(name))
        package.__path__ = [str(folder.joinpath(*parts[:depth]))]
    finders: Any = sys.meta_path
    before = list(finders)
    for_gpus = _EmptyModules(lambda name: any(part.startswith("triton") for part in name.split(".")))
    finders[:] = [for_gpus, *before, _EmptyModules(lambda _: True)]
    try:
        module = importlib.import_module(".".join(parts))
    finally:
        finders[:] = before
    return getattr(module, step.function)


def official_variant(problem: Problem, step: OfficialStep, function: Any) -> Variant:
    """The training step of a problem with the function of the authors."""
    options = problem.options
    params = {name: torch.tensor(value, requires_grad=True) for name, value in problem.params.items()}
    arrays = params | {name: torch.tensor(value) for name, value in problem.buffers.items()}
    tokens, targets = (torch.tensor(each.T.astype("int64")) for each in (problem.inputs, problem.targets))
    weights = zoo_peer.input_weights(resolve_cell(problem.cell, **options))

    def run() -> Tensor:
        for param in params.values():
            param.grad = None
        y = step.recur(function, arrays, options, lambda matrix: F.embedding(tokens, matrix))
        logits = F.linear(y.flatten(0, 1), params["Why"].T, params["by"])
        loss = F.cross_entropy(logits, targets.flatten())
        loss.backward()
        return loss

    def check() -> tuple[float, float]:
        loss = float(run().detach())
        return loss, norm(*(params[name].grad.numpy() for name in weights))

    return Variant(
        step.function, run, check, lambda: {name: each.grad.numpy() for name, each in params.items()}
    )


def answer_of(variant: Variant) -> dict[str, Any]:
    """Loss and gradients, to compare with those of zoo."""
    loss, gradient = variant.check()
    assert variant.gradients is not None
    gradients = {name: summary(value) for name, value in variant.gradients().items()}
    return {"loss": loss, "gradient": gradient, "gradients": gradients}


def least_seconds(variants: Sequence[Variant], rounds: int) -> list[float]:
    """The least processor time of each variant, over interleaved rounds."""
    least = [float("inf")] * len(variants)
    for _ in range(rounds):
        for index, variant in enumerate(variants):
            started = time.process_time()
            variant.run()
            least[index] = min(least[index], time.process_time() - started)
    return least


def rows(shape: Shape, clones: Path, rounds: int) -> Iterator[tuple[str, ...]]:
    """Rows of the table."""
    for cell in dict.fromkeys(step.cell for step in STEPS):
        problem = zoo_peer.make_problem(cell, shape, "float32", 1)
        steps = [step for step in STEPS if step.cell == cell]
        own = zoo_peer.build(problem)[0]
        reference = answer_of(own)
        official = [official_variant(problem, step, load_function(step, clones)) for step in steps]
        for variant in official:
            difference = mismatch(reference, answer_of(variant))
            assert not difference, f"{cell}, {variant.name}: {difference}"
        eager = torch_eager.build(problem)
        times = least_seconds([own, *official, *eager], rounds)
        of_zoo, of_official, of_eager = (
            times[0],
            times[1 : 1 + len(official)],
            min(times[1 + len(official) :]),
        )
        label = f"`{cell}`"
        yield label, "zoo", "", f"{of_zoo * 1e3:.1f}", ""
        yield label, "`torch.eager`", "loop", f"{of_eager * 1e3:.1f}", f"{of_eager / of_zoo:.1f}"
        for step, seconds in zip(steps, of_official, strict=True):
            code = f"`{step.function}`, {OWNERS[step.repository]}/{step.repository}"
            yield label, code, step.form, f"{seconds * 1e3:.1f}", f"{seconds / of_zoo:.1f}"


def revision(folder: Path) -> str:
    """The commit of a clone."""
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clones", type=Path, required=True, help="directory with the clones")
    parser.add_argument("--shape", default="256x8x128", help="time steps, batch size, hidden units")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="interleaved rounds")
    parser.add_argument("--markdown", help="document with a block named official")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    (shape,) = parse_shapes(given.shape)
    if missing := [name for name in OWNERS if not (given.clones / name).is_dir()]:
        parser.error(f"{given.clones} has no clone {missing[0]!r}; see --help for the commands")
    commits = ", ".join(f"{owner}/{name} {revision(given.clones / name)}" for name, owner in OWNERS.items())
    machine = machine_info()
    about = (
        f"{machine['processor']}, T×B×H {str(shape).replace('x', '×')}, one thread, float32, PyTorch "
        f"{torch.__version__}; {commits}. Processor time, least of {given.rounds} interleaved rounds."
    )
    headings = ("cell", "recurrence", "form", "ms", "ratio to zoo")
    table = TextTable(
        "Training steps with functions of the authors",
        headings,
        tuple(rows(shape, given.clones, given.rounds)),
        (3, 4),
        "",
    )
    if given.markdown:
        command = f"python tools/bench_official.py --clones . --shape {given.shape} --rounds {given.rounds}"
        parse_marker(f"{given.markdown}#official", "official").write(
            command, [about, table.markdown_section()]
        )
    else:
        print(about, table.markdown_section(), sep="\n")


if __name__ == "__main__":
    main()
