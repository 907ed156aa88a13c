"""``zoo.torch.Recurrent``: the module among PyTorch's own, against ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``."""

from __future__ import annotations

import contextvars
import copy
import importlib.util
import io
import itertools
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
from vjp_requests import record_needs_dx

import zoo
import zoo.torch
from zoo.errors import UsageError
from zoo.kernels import pure_python

torch = pytest.importorskip("torch", reason="needs the extra `torch`")
from torch.nn.utils import rnn as packing  # noqa: E402

from zoo.torch.operators import _tape_holders  # noqa: E402

T, B, I, H = 4, 3, 3, 4  # noqa: E741 - the letters of the documents
FLOAT64 = torch.float64
MODULES = {"vanilla": "RNN", "lstm": "LSTM", "lstm_projected": "LSTM", "gru": "GRU"}


@pytest.fixture(autouse=True)
def plain_python():
    """Run kernels as plain Python, since they have tests of their own."""
    with pure_python():
        yield


COUNTING = zoo.get_cell("clockwork", groups=2)


def layer(cell="gru", layers=1, dtype=FLOAT64, seed=0, **more):
    """A module whose every parameter is random, biases too."""
    torch.manual_seed(seed)
    module = zoo.torch.Recurrent(cell, I, H, layers, dtype=dtype, **more)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
    return module


def inputs(steps=T, batch=B, seed=1, dtype=FLOAT64):
    torch.manual_seed(seed)
    return torch.randn(steps, batch, I, dtype=dtype, requires_grad=True)


def tensors(state):
    """All tensors of a state, however it looks."""
    if isinstance(state, dict):
        return list(state.values())
    return list(state) if isinstance(state, tuple) else [state]


def gradients(module, x, y, last, seed=2):
    """The gradients of a random sum of all outputs by x and every parameter."""
    torch.manual_seed(seed)
    total = sum((torch.randn_like(each) * each).sum() for each in [y, *tensors(last)])
    return torch.autograd.grad(total, [x, *module.parameters()])


def everything(module, x, *given, **more):
    y, last = module(x, *given, **more)
    return [y, *tensors(last), *gradients(module, x, y, last)]


def assert_close(actual, expected, atol=1e-13):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol)


def assert_same(actual, expected):
    assert_close(actual, expected, atol=0)


# ---- as PyTorch's own modules -------------------------------------------------------------------------


def cell_of(name):
    """A cell that PyTorch has, with options that its weights have to hold."""
    options = {"lstm": {"forget_bias": 0.5}, "lstm_projected": {"proj": 2}}
    return zoo.get_cell(name, **options.get(name, {}))


def theirs(cell, layers=2, **more):
    more |= {"proj_size": cell.proj} if "proj" in cell.options else {}
    return getattr(torch.nn, MODULES[cell.name])(I, H, layers, dtype=FLOAT64, **more)


@pytest.mark.parametrize("more", [{}, {"bidirectional": True, "batch_first": True}], ids=["plain", "both"])
@pytest.mark.parametrize("name", MODULES)
def test_state_dict_converts_both_ways(name, more):
    cell, x = cell_of(name), inputs()
    ours, other = layer(cell, 2, **more), theirs(cell, **more)
    assert [key for key, _ in ours.named_parameters()] == [key for key, _ in other.named_parameters()]
    other.load_state_dict(ours.state_dict())
    assert_close(everything(ours, x), everything(other, x))
    other.reset_parameters()
    ours.load_state_dict(other.state_dict())
    assert_close(everything(ours, x), everything(other, x))
    last = [each.detach() for each in tensors(other(x)[1])]
    state = last[0] if len(last) == 1 else tuple(last)
    assert_close(everything(ours, x, state), everything(other, x, state))


def test_training_moves_to_pytorch_and_back():
    ours, other, x = layer("gru"), theirs(cell_of("gru"), 1), inputs().detach()
    other.load_state_dict(ours.state_dict())

    def train(module, state=None):
        optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
        if state:
            optimizer.load_state_dict(state)
        for _ in range(3):
            optimizer.zero_grad()
            module(x)[0].square().sum().backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
        return optimizer.state_dict()

    state = copy.deepcopy(train(other))
    ours.load_state_dict(other.state_dict())
    for module in (other, ours):
        train(module, copy.deepcopy(state))
    assert_close(list(ours.state_dict().values()), list(other.state_dict().values()), atol=1e-12)


def test_forget_bias_is_added_to_bias():
    plain, biased = layer("lstm"), layer(zoo.get_cell("lstm", forget_bias=2.0))
    difference = biased.bias_ih_l0 - plain.bias_ih_l0
    assert difference.tolist() == pytest.approx([0.0] * H + [2.0] * H + [0.0] * 2 * H)
    biased.load_state_dict(plain.state_dict())
    assert_close([biased(inputs())[0]], [plain(inputs())[0]])


def test_state_dict_without_bias_raises():
    other = torch.nn.GRU(I, H, bias=False)
    with pytest.raises(RuntimeError, match=r'Missing key.*"bias_ih_l0", "bias_hh_l0"'):
        layer("gru").load_state_dict(other.state_dict())


@pytest.mark.parametrize("name", ["lstm", "gru"])
@pytest.mark.parametrize("more", [{}, {"bidirectional": True, "batch_first": True}], ids=["plain", "both"])
def test_packed_sequences(name, more):
    ours, other = layer(name, 2, **more), theirs(zoo.get_cell(name), **more)
    other.load_state_dict(ours.state_dict())
    x, lengths = inputs(), torch.tensor([2, 4, 3])
    rows = x.transpose(0, 1) if more else x
    packed = packing.pack_padded_sequence(rows, lengths, bool(more), enforce_sorted=False)
    (y, last), (wanted, last_wanted) = ours(packed), other(packed)
    assert_close([y.data, *tensors(last)], [wanted.data, *tensors(last_wanted)])
    assert all(torch.equal(one, two) for one, two in zip(y[1:], wanted[1:], strict=True))
    actual, expected = (
        torch.autograd.grad(
            y.data.square().sum() + tensors(last)[-1].sum(), [x, *module.parameters()], retain_graph=True
        )
        for module, y, last in ((ours, y, last), (other, wanted, last_wanted))
    )
    assert_close(actual, expected)
    padded, padded_last = ours(rows, lengths=lengths)
    assert_same(
        [padded, *tensors(padded_last)], [packing.pad_packed_sequence(y, bool(more))[0], *tensors(last)]
    )
    tight = packing.pack_sequence([x[:3, 0], x[:2, 1]])
    assert_close([ours(tight)[0].data], [other(tight)[0].data])
    with pytest.raises(UsageError, match="x is packed and contains its lengths; omit lengths"):
        ours(packed, lengths=lengths)


# ---- any cell -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "more"),
    [
        ("peephole_lstm", {"bidirectional": True, "learned_state": True, "recompute": 2}),
        ("esn", {"residual": True}),  # which has buffers
        ("t_gru", {}),  # whose layers carry different states
        (["gru", "lstm"], {}),
    ],
    ids=str,
)
def test_module_matches_zoo_layer(cell, more):
    module, x = layer(cell, 2, **more), inputs()
    rnn = zoo.Recurrent(cell, I, H, num_layers=2, dtype="float64", threads=1, **more)
    rnn.fill({name: value.detach().numpy() for name, value in module.state_dict().items()})
    y, last = module(x)
    y.sum().backward()
    expected, states = rnn.forward(x.detach().numpy())
    dx, _ = rnn.backward(np.ones_like(expected))
    assert_same([y, x.grad], list(map(torch.from_numpy, (expected, dx))))
    order = [name for names in module._shared.states.names for name in names]
    actual = np.concatenate([each.detach().numpy().ravel() for each in tensors(last)])
    np.testing.assert_array_equal(actual, np.concatenate([states[name].ravel() for name in order]))
    for name, parameter in module.named_parameters():
        np.testing.assert_array_equal(parameter.grad.numpy(), rnn.grads[name], err_msg=name)


@pytest.mark.parametrize(
    ("cell", "more"),
    [
        ("vanilla", {}),
        ("lstm", {"bidirectional": True}),
        ("esn", {"learned_state": True}),
        ("cfc", {}),  # with the auxiliary input dt
        (COUNTING, {}),
        ("t_gru", {}),
    ],
    ids=str,
)
def test_gradients_are_those_of_finite_differences(cell, more):
    module, x = layer(cell, 2, **more), inputs(steps=3, batch=2)
    states, names = module._shared.states, [name for name, _ in module.named_parameters()]
    first = [torch.rand(states.shape(place, 2), dtype=FLOAT64) for place in range(len(states.kinds))]
    aux = {"dt": torch.rand(3, 2, dtype=FLOAT64)} if cell == "cfc" else {}
    variable = [tensor.requires_grad_() for place, tensor in enumerate(first) if place not in states.discrete]

    def run(x, *arrays):
        parameters = dict(zip(names, arrays[len(variable) :], strict=True))
        y, last = torch.func.functional_call(module, parameters, (x, states.to_user(first)), aux)
        return y, *(each for each in tensors(last) if each.requires_grad)

    assert torch.autograd.gradcheck(run, (x, *variable, *module.parameters()), fast_mode=True)


def test_states_look_as_users_of_pytorch_expect():
    y, last = layer("gru", 2, bidirectional=True)(inputs())
    assert (y.shape, last.shape) == ((T, B, 2 * H), (4, B, H))
    y, (h, c) = layer(zoo.get_cell("lstm_projected", proj=2))(inputs())
    assert (y.shape, h.shape, c.shape) == ((T, B, 2), (1, B, 2), (1, B, H))
    y, last = layer("matrix_lstm", 2)(inputs())
    assert [each.shape for each in last] == [(2, B, 1, H, H), (2, B, 1, H), (2, B, 1)]
    _, last = layer("t_gru", 2)(inputs())
    assert {name: tuple(each.shape) for name, each in last.items()} == {
        "l0.h": (B, H), "l0.past": (B, I), "l1.h": (B, H), "l1.past": (B, H),
    }  # fmt: skip
    y, last = layer(COUNTING)(inputs())
    assert (last[0].requires_grad, last[1].requires_grad) == (True, False)


@pytest.mark.parametrize("cell", ["gru", "lstm", "t_gru"])
def test_state_continues_sequence(cell):
    module, x = layer(cell, 2), inputs()
    whole, last = module(x)
    first, between = module(x[:2])
    second, end = module(x[2:], between)
    assert_same([torch.cat([first, second]), *tensors(end)], [whole, *tensors(last)])
    assert_close(
        gradients(module, x, torch.cat([first, second]), end), gradients(module, x, whole, last), atol=1e-12
    )


@pytest.mark.parametrize("cell", ["gru", "lstm", "t_gru"])
def test_one_sequence_needs_no_batch(cell):
    module, x = layer(cell, 2, batch_first=True), inputs(batch=1)
    state = module(x.transpose(0, 1))[1]
    y, last = module(x.transpose(0, 1), state)
    axis = 0 if cell == "t_gru" else 1
    alone = [each.squeeze(axis) for each in tensors(state)]
    form = dict(zip(state, alone, strict=True)) if cell == "t_gru" else tuple(alone)
    result, result_last = module(x[:, 0], form[0] if cell == "gru" else form)
    assert_same([result, *tensors(result_last)], [y[0], *(each.squeeze(axis) for each in tensors(last))])


def test_tokens_equal_one_hot_vectors():
    module = layer("lstm", batch_first=True)
    tokens = torch.randint(I, (B, T))
    rows = torch.nn.functional.one_hot(tokens, I).to(FLOAT64)
    expected = [module(rows)[0], *torch.autograd.grad(module(rows)[0].sum(), module.parameters())]
    for given in (tokens, tokens.int(), tokens.T.contiguous().T):
        y, _ = module(given)
        assert_close([y, *torch.autograd.grad(y.sum(), module.parameters())], expected)
    assert_close([module(tokens[0])[0]], [module(tokens)[0][0]])


def test_aux_inputs():
    module, x = layer("cfc", 2, batch_first=True), inputs()
    dt = torch.rand(B, T, dtype=FLOAT64)
    y, _ = module(x.transpose(0, 1), dt=dt)
    assert not torch.equal(y, module(x.transpose(0, 1))[0])
    assert_close([module(x[:, 1], dt=dt[1])[0]], [y[1]])
    assert_same(
        [module(x.transpose(0, 1), dt=dt.float())[0]], [module(x.transpose(0, 1), dt=dt.float().double())[0]]
    )
    with pytest.raises(UsageError, match=r"input 'dt' requires a gradient; expected a tensor that needs no"):
        module(x.transpose(0, 1), dt=dt.requires_grad_())
    with pytest.raises(UsageError, match=r"unknown argument 'dt'; it has no auxiliary inputs"):
        layer("gru")(x, dt=dt.detach())


# ---- memory -------------------------------------------------------------------------------------------


def test_memory_is_shared_with_numpy(monkeypatch):
    """Kernels read the inputs and write the outputs without copies."""
    seen = {}
    pure = zoo.torch.Recurrent("lstm", I, H)._shared.pure(np.dtype("float64"))

    def apply(self, arrays, x, state, *rest, **options):
        y, last, tape = original(self, arrays, x, state, *rest, **options)
        seen.update(arrays=arrays, x=tape.batch_run.x, before=state, y=y, last=last)
        return y, last, tape

    original = type(pure).apply
    monkeypatch.setattr(type(pure), "apply", apply)
    module, x, h = layer("lstm"), inputs(), torch.zeros(1, B, H, dtype=FLOAT64)
    y, (last, _) = module(x, (h, h.clone()))
    for tensor, array in (
        (x, seen["x"]),
        (h, seen["before"]["l0.h"]),
        (y, seen["y"]),
        (last, seen["last"]["l0.h"]),
        (module.weight_ih_l0, seen["arrays"]["l0.Wx"]),
        (module.weight_hh_l0, seen["arrays"]["l0.Wh"]),
    ):
        assert tensor.data_ptr() == array.__array_interface__["data"][0]


def test_any_strides_are_accepted():
    module = layer("lstm", 2)
    wide, one = torch.randn(2 * T, 2 * B, 2 * I, dtype=FLOAT64), torch.randn(1, 1, I, dtype=FLOAT64)
    states = torch.randn(B, 2, H, dtype=FLOAT64)
    for x in (wide[::2, 1::2, ::2], one.expand(T, B, I), wide[:T, :B, :I].flip(0), wide[:T, :I, :B].mT):
        for h in (states.transpose(0, 1), states[:1].transpose(0, 1).expand(2, B, H)):
            given = x.detach().requires_grad_()
            result = everything(module, given, (h, h))
            dense = x.detach().contiguous().requires_grad_()
            assert_same(result, everything(module, dense, (h.contiguous(), h.contiguous())))


def test_any_strides_of_gradients_are_accepted():
    module, x = layer("lstm", 2), inputs()
    for make in (
        lambda shape: torch.ones((), dtype=FLOAT64).expand(shape),
        lambda shape: torch.randn(shape[::-1], dtype=FLOAT64).permute(*reversed(range(len(shape)))),
    ):
        y, (h, _) = module(x)
        dy, dh = make(y.shape), make(h.shape)
        for given in (y,), (h,), (y, h):
            parts = tuple({id(y): dy, id(h): dh}[id(each)] for each in given)
            result = torch.autograd.grad(given, [x, *module.parameters()], parts, retain_graph=True)
            dense = tuple(each.contiguous() for each in parts)
            assert_same(
                result, torch.autograd.grad(given, [x, *module.parameters()], dense, retain_graph=True)
            )


def test_outputs_can_be_changed_in_place():
    module, x = layer("lstm"), inputs()
    y, last = module(x)
    wanted = torch.autograd.grad((2 * y).sum() + 3 * last[0].sum(), [x, *module.parameters()])
    y, last = module(x)
    y.mul_(2)
    last[0].mul_(3)
    assert_same(torch.autograd.grad(y.sum() + last[0].sum(), [x, *module.parameters()]), wanted)


@pytest.mark.parametrize("what", ["x", "weight_hh_l0", "state"])
def test_changed_residuals_raise_in_backward(what):
    module, x = layer("gru"), inputs()
    state = torch.zeros(1, B, H, dtype=FLOAT64)
    y, _ = module(x, state)
    with torch.no_grad():
        {"x": x, "state": state}.get(what, module.weight_hh_l0).add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        y.sum().backward()


def test_many_ways_forward_before_one_back():
    module, xs = layer("lstm", 2), [inputs(steps=steps, seed=steps) for steps in (2, 4, 3)]
    alone = [everything(module, x) for x in xs]
    result = [module(x) for x in xs]
    for at in (1, 0, 2):
        assert_same(
            [result[at][0], *tensors(result[at][1]), *gradients(module, xs[at], *result[at])], alone[at]
        )


def test_tape_is_freed_after_backward():
    module, x = layer("gru"), inputs()
    y, _ = module(x)
    holder = weakref.ref(list(_tape_holders.values())[-1])
    first = torch.autograd.grad(y.sum(), module.parameters(), retain_graph=True)
    assert_same(torch.autograd.grad(y.sum(), module.parameters()), first)
    assert holder() is None, "the second one was to be the last, and y lives on"
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.sum().backward()


def test_freed_tape_is_recomputed():
    module, x = layer("gru+recurrent_dropout", 2, dropout=0.5), inputs()
    torch.manual_seed(4)
    y, last = module(x)
    wanted = gradients(module, x, y, last)
    before = {*_tape_holders}
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda tensor: tensor):
        torch.manual_seed(4)
        y, last = module(x)
    assert {*_tape_holders} <= before
    assert_same(gradients(module, x, y, last), wanted)


def test_kernels_read_and_write_the_memory_of_tensors_in_threads():
    ours, other = layer("vanilla", dtype=torch.float32), torch.nn.RNN(I, H)
    other.load_state_dict(ours.state_dict())
    x = torch.randn(T * 17 * I + 1)[1:].view(T, 17, I).requires_grad_()  # three shards; begins anywhere
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        result = contextvars.Context().run(everything, ours, x)  # outside of `interpreted`
    finally:
        torch.set_num_threads(threads)
    assert_close(result, everything(other, x), atol=1e-5)


# ---- autograd's modes ---------------------------------------------------------------------------------


def test_no_grad_builds_no_graph():
    module, x = layer("lstm", 2), inputs()
    expected = module(x)[0].detach()
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            y, (h, _) = module(x)
        assert (y.requires_grad, h.requires_grad, y.grad_fn) == (False, False, None)
        assert_same([y.clone()], [expected])
    assert module.requires_grad_(False)(x.detach())[0].grad_fn is None
    with torch.inference_mode():
        assert_same([module(x.clone())[0].clone()], [expected])


def test_frozen_parameters_get_no_gradient():
    module, x = layer("gru"), inputs()
    wanted = torch.autograd.grad(module(x)[0].sum(), [module.weight_ih_l0])
    module.weight_hh_l0.requires_grad_(False)
    module(x.detach())[0].sum().backward()
    assert module.weight_hh_l0.grad is None
    assert_same([module.weight_ih_l0.grad], wanted)


@pytest.mark.parametrize("compiled", [False, True])
def test_inputs_without_gradient(compiled, monkeypatch):
    needs = record_needs_dx(monkeypatch)
    module, x = layer("lstm"), inputs()
    run = torch.compile(module, backend="aot_eager") if compiled else module
    wanted = torch.autograd.grad(run(x)[0].square().sum(), [x, *module.parameters()])
    x = x.detach()
    assert_same(torch.autograd.grad(run(x)[0].square().sum(), [*module.parameters()]), wanted[1:])
    assert needs == [True, False]


def test_autocast_computes_in_the_dtype_of_the_module():
    module = layer("lstm", dtype=torch.float32)
    linear = torch.nn.Linear(I, I)
    x = torch.randn(T, B, I)
    state = torch.zeros(1, B, H, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        between = linear(x)
        assert between.dtype == torch.bfloat16
        y, (_, c) = module(between, (state, state))
        y.sum().backward()
    assert (y.dtype, c.dtype, module.weight_hh_l0.grad.dtype) == (torch.float32,) * 3
    assert linear.weight.grad is not None
    assert_same([y], [module(between.float())[0]])
    with pytest.raises(UsageError, match=r"x is torch.bfloat16 and the module torch.float32; convert one of"):
        module(between)


def test_checkpointing_uses_same_noise():
    module, x = layer("gru+zoneout"), inputs()
    torch.manual_seed(5)
    wanted = torch.autograd.grad(module(x)[0].sum(), module.parameters())
    torch.manual_seed(5)
    y = torch.utils.checkpoint.checkpoint(lambda x: module(x)[0], x, use_reentrant=False)
    assert_same(torch.autograd.grad(y.sum(), module.parameters()), wanted)


# ---- noise --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "dropout"), [("gru+zoneout", 0.0), ("gru", 0.5)])
def test_seed_of_pytorch_decides_the_noise(cell, dropout):
    module, x = layer(cell, 2, dropout=dropout), inputs()

    def run(seed):
        torch.manual_seed(seed)
        return module(x)[0]

    assert_same([run(1)], [run(1)])
    assert not torch.equal(run(1), run(2))
    module.eval()
    assert_same([run(1)], [run(2)])
    module.train()
    torch.manual_seed(1)
    assert not torch.equal(module(x)[0], module(x)[0])


@pytest.mark.filterwarnings("ignore:.*has no effect:zoo.ZooWarning")
@pytest.mark.parametrize(
    ("cell", "layers", "dropout", "training"),
    [("gru", 1, 0.5, True), ("gru", 2, 0.0, True), ("gru+zoneout", 2, 0.5, False)],
)
def test_deterministic_module_draws_no_seed(cell, layers, dropout, training):
    module, x = layer(cell, layers, dropout=dropout).train(training), inputs()
    before = torch.get_rng_state()
    module(x)
    assert torch.equal(before, torch.get_rng_state())


def test_seed_of_pytorch_decides_the_first_parameters():
    one, other = (layer("gru", seed=seed) for seed in (0, 1))
    assert not torch.equal(one.weight_hh_l0, other.weight_hh_l0)
    torch.manual_seed(7)
    one.reset_parameters()
    torch.manual_seed(7)
    assert_same(list(zoo.torch.Recurrent("gru", I, H, dtype=FLOAT64).parameters()), list(one.parameters()))


# ---- modules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "esn", "t_gru", "gru+zoneout"])
def test_copies_and_files(cell):
    module, x = layer(cell, 2).eval(), inputs()
    expected = module(x)[0]
    file = io.BytesIO()
    torch.save(module, file)
    loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    copies = [copy.deepcopy(module), pickle.loads(pickle.dumps(module)), loaded]
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    copies.append(layer(cell, 2, seed=9).eval())
    copies[-1].load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    for copied in copies:
        assert_same([copied(x)[0]], [expected])
        assert [each.stride() for each in copied.parameters()] == [
            each.stride() for each in module.parameters()
        ]
        with torch.no_grad():
            next(copied.parameters()).add_(1)
        assert not torch.equal(copied(x)[0], expected)
    assert_same([module(x)[0]], [expected])


def test_precision_can_be_changed():
    module, x = layer("gru", dtype=torch.float32), inputs()
    assert module.double() is module
    assert (module.dtype, module(x)[0].dtype) == (FLOAT64, FLOAT64)
    assert module.float()(x.float())[0].dtype == torch.float32
    assert zoo.torch.Recurrent("gru", I, H).dtype == torch.get_default_dtype()
    assert zoo.torch.Recurrent("gru", I, H, dtype="float64").dtype == FLOAT64


def test_products_in_bfloat16(any_processor):
    module = layer("lem", dtype=torch.float32, precision="bf16")
    rnn = zoo.Recurrent("lem", I, H, precision="bf16", threads=1)
    for name, parameter in module.named_parameters():
        rnn.params[name][:] = parameter.detach().numpy()
    x = inputs(dtype=torch.float32)
    y, _ = module(x)
    expected, _ = rnn.forward(x.detach().numpy())
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    y.sum().backward()
    rnn.backward(np.ones_like(expected))
    for name, parameter in module.named_parameters():
        np.testing.assert_array_equal(parameter.grad.numpy(), rnn.grads[name])
    assert "precision='bf16'" in repr(module)
    wide = {name: value.double() for name, value in module.named_parameters()}
    for change in (
        module.double,
        lambda: torch.func.functional_call(module, wide, (x.double(),)),
        lambda: zoo.torch.Recurrent("gru", I, H, dtype=FLOAT64, precision="bf16"),
    ):
        with pytest.raises(UsageError, match=r"^zoo.torch.Recurrent: precision is 'bf16' and dtype is 'fl"):
            change()
    assert module.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda module: module.to("meta"), "computes on the CPU, and the module would be on meta; keep"),
        (lambda module: torch.nn.Sequential(module).to("meta"), "computes on the CPU"),
        (lambda module: module.half(), "dtype is torch.float16; expected torch.float32 or torch.float64."),
        (lambda module: module.to(torch.bfloat16), "dtype is torch.bfloat16; expected"),
    ],
)
def test_invalid_state_dict_raises_and_changes_nothing(change, words):
    module = layer("gru")
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(UsageError, match=f"^zoo.torch.Recurrent.*{words}"):
        change(module)
    assert_same(list(module.state_dict().values()), list(before.values()))


def test_weights_can_be_shared_replaced_and_parametrized():
    module, x = layer("lstm"), inputs()
    shared = layer("lstm", seed=5)
    shared.weight_hh_l0 = module.weight_hh_l0
    (module(x)[0].sum() + shared(x)[0].sum()).backward()
    both = module.weight_hh_l0.grad
    assert_close(
        [both], [sum(torch.autograd.grad(m(x)[0].sum(), m.weight_hh_l0)[0] for m in (module, shared))]
    )
    expected = everything(module, x)
    module.load_state_dict(
        {name: value.contiguous() for name, value in module.state_dict().items()}, assign=True
    )
    assert_same(everything(module, x), expected)
    module.flatten_parameters()
    assert module.weight_hh_l0.T.is_contiguous()
    assert_same(everything(module, x), expected)
    torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    assert_close([module(x)[0]], expected[:1])
    module(x)[0].sum().backward()
    assert module.parametrizations.weight_hh_l0.original0.grad.abs().sum() > 0


@pytest.mark.parametrize("options", [{"foreach": True}, {"fused": True}], ids=str)
def test_optimizers_take_matrices_in_either_order(options):
    module, x = layer("lstm"), inputs().detach()
    other = theirs(zoo.get_cell("lstm"), 1)
    other.load_state_dict(module.state_dict())
    for each in (module, other):
        optimizer = torch.optim.AdamW(each.parameters(), lr=0.1, **options)
        for _ in range(2):
            optimizer.zero_grad()
            each(x)[0].square().sum().backward()
            optimizer.step()
    assert_close(list(module.parameters()), list(other.parameters()), atol=1e-12)


def test_lbfgs_receives_contiguous_gradients():
    """LBFGS looks at gradients as vectors, which PyTorch does with arrays in rows alone."""
    for cell in ("lstm", "cifg_lstm"):
        module, x = layer(cell), inputs().detach()
        for parameter in module.parameters():
            parameter.data = parameter.data.contiguous()
        optimizer = torch.optim.LBFGS(module.parameters(), max_iter=3)

        def closure(module=module, x=x, optimizer=optimizer):
            optimizer.zero_grad()
            loss = module(x)[0].square().sum()
            loss.backward()
            return loss

        before = closure().item()
        optimizer.step(closure)
        assert closure().item() < before


@pytest.mark.parametrize("method", ["l1_unstructured", "random_unstructured"])
def test_pruning_of_contiguous_parameters(method):
    module, x = layer("lstm"), inputs().detach()
    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()
    name = "weight_hh_l0"
    getattr(importlib.import_module("torch.nn.utils.prune"), method)(module, name, amount=0.25)
    assert (getattr(module, name) == 0).sum() == 4 * H * H // 4
    module(x)[0].sum().backward()
    gradient = module.get_parameter(f"{name}_orig").grad
    assert not gradient[getattr(module, name) == 0].any()
    assert gradient.any()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "weight_hh_l0",
            torch.zeros(4 * H, I, dtype=FLOAT64),
            r"torch.float64 \(16, 3\); expected torch.float64 \(16, 4\)",
        ),
        ("bias_hh_l0", torch.zeros(4 * H), r"torch.float32 \(16,\); expected torch.float64 \(16,\)"),
    ],
)
def test_mismatched_parameter_raises(name, value, words):
    module = layer("lstm")
    with pytest.raises(UsageError, match=f"^zoo.torch.Recurrent: {name} is {words}, as at construction"):
        torch.func.functional_call(module, {name: value}, (inputs(),))


def test_repr():
    text = repr(layer("t_gru", 2, batch_first=True, dropout=0.5))
    assert text.startswith(
        "Recurrent(\n  TGRU(), input_size=3, hidden_size=4, num_layers=2, dropout=0.5, batch_first=True"
    )
    assert "(l0): LayerParameters(Wx: (3," in text


# ---- torch.compile ------------------------------------------------------------------------------------


@pytest.fixture
def compiled():
    """Compiles without a break in the graph, for shapes that change."""
    torch._dynamo.reset()
    yield lambda module: torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=True)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("cell", "more"),
    [("lstm", {"bidirectional": True, "batch_first": True}), ("t_gru", {})],
    ids=str,
)
def test_compiles_without_graph_break(cell, more, compiled):
    module = layer(cell, 2, **more)
    fast = compiled(module)
    for steps, batch in ((4, 3), (3, 2)):
        x = inputs(*((batch, steps) if more else (steps, batch)))
        with torch.no_grad():
            _, state = module(x)
        y, last = fast(x, state)
        expected, last_expected = module(x, state)
        assert_same([y, *tensors(last)], [expected, *tensors(last_expected)])
        assert_same(gradients(module, x, y, last), gradients(module, x, expected, last_expected))
    with torch.no_grad():
        assert_same([fast(x)[0]], [module(x)[0]])


def test_compiled_with_tokens_lengths_and_noise(compiled):
    module = layer("lmu+zoneout", 2)  # which has buffers too
    tokens, lengths = torch.randint(I, (T, B)), torch.tensor([2, 4, 3])

    def run(module):
        torch.manual_seed(6)
        y, _ = module(tokens, lengths=lengths)
        return [y, *torch.autograd.grad(y.sum(), module.parameters())]

    assert_same(run(compiled(module)), run(module))


def test_compiled_module_reuses_or_recomputes_tape(compiled, monkeypatch):
    module, x = layer("vanilla"), inputs()
    expected = everything(module, x)
    fast = compiled(module)
    y, last = fast(x)
    monkeypatch.setattr("zoo.torch.operators.forward", None)
    assert_same([y, last, *gradients(module, x, y, last)], expected)
    monkeypatch.undo()
    y, last = fast(x)
    monkeypatch.setattr("zoo.torch.operators._tape_holders", weakref.WeakValueDictionary())
    assert_same([y, last, *gradients(module, x, y, last)], expected)


def test_exported_program_of_other_process_raises():
    with pytest.raises(
        UsageError, match=r"^zoo.torch.Recurrent\(LSTM.*\) was never made in this process; make one"
    ):
        torch.ops.zoo.recurrent("LSTM(), input_size=99", X, [X], [], "", [], None, None)


# ---- processes ----------------------------------------------------------------------------------------


class Encoded(torch.utils.data.Dataset):
    """Sequences that a module encodes as they are read."""

    def __init__(self, module):
        self.module = module

    def __len__(self):
        return 4

    def __getitem__(self, index):
        with torch.no_grad(), pure_python():
            return self.module(inputs(seed=index).detach())[0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.*JAX:RuntimeWarning")  # which another test may have imported
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader(method):
    data = Encoded(layer("lstm+zoneout").eval())
    loader = torch.utils.data.DataLoader(data, num_workers=1, multiprocessing_context=method, batch_size=2)
    assert_same([torch.cat(list(loader))], [torch.stack([data[index] for index in range(4)])])


def test_importing_zoo_torch_imports_no_pytorch():
    code = "import sys, zoo, zoo.torch; print(dir(zoo.torch), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['Recurrent'] False\n"


def test_missing_pytorch_raises_with_install_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"^zoo.torch needs PyTorch; pip install 'recurrent-zoo\[torch\]' brings"
    ):
        zoo.torch.Recurrent  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'zoo.torch' has no attribute 'LSTM'"):
        zoo.torch.LSTM  # noqa: B018


# ---- what does not fit --------------------------------------------------------------------------------


X = torch.zeros(T, B, I, dtype=FLOAT64)
HIDDEN = torch.zeros(1, B, H, dtype=FLOAT64)


@pytest.mark.parametrize(
    ("cell", "given", "sentence"),
    [
        (
            "gru",
            (X[..., 1:],),
            r"x is torch.float64 \(4, 3, 2\); expected a tensor of floats \(T, B, 3\) or of",
        ),
        ("gru", (X[None],), r"x is torch.float64 \(1, 4, 3, 3\); expected"),
        ("gru", (X.int(),), r"x is torch.int32 \(4, 3, 3\); expected"),
        ("gru", (X.bool(),), r"x is torch.bool \(4, 3, 3\); expected"),
        ("gru", (X.numpy(),), r"x is a ndarray; expected a tensor"),
        (
            "gru",
            (X.float(),),
            r"x is torch.float32 and the module torch.float64; convert one of them, x.to\(torch",
        ),
        ("gru", (X.to("meta"),), r"computes on the CPU, and x is on meta"),
        ("gru", (X, HIDDEN[0]), r"state 'h' is \(3, 4\); expected a tensor \(1, 3, 4\)"),
        ("gru", (X[:, 0], HIDDEN), r"state 'h' is \(1, 3, 4\); expected a tensor \(1, 4\)"),
        ("gru", (X, (HIDDEN, HIDDEN)), r"the state is a tuple of 2; expected a tensor, h\."),
        ("gru", (X, HIDDEN.float()), r"state 'h' is torch.float32 and the module torch.float64"),
        ("gru", (X, HIDDEN.numpy()), r"state 'h' is a ndarray; expected a tensor"),
        ("lstm", (X, HIDDEN), r"the state is a Tensor; expected a tuple \(h, c\) of tensors"),
        ("lstm", (X, {"l0.h": HIDDEN}), r"the state is a dictionary with l0.h; expected a tuple \(h, c\) of"),
        (
            "t_gru",
            (X, (HIDDEN,)),
            r"the state is a tuple of 1; expected a dictionary with l0.h, l0.past, l1.h, l1",
        ),
    ],
)
def test_invalid_call_raises(cell, given, sentence):
    module = layer(cell, 2 if cell == "t_gru" else 1)
    with pytest.raises(UsageError, match=f"^zoo.torch.Recurrent:? {sentence}"):
        module(*given)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: zoo.torch.Recurrent("gru", I, H, dtype=torch.int8),
            r"dtype is torch.int8; expected torch.float32",
        ),
        (
            lambda: zoo.torch.Recurrent("gru", I, H, dtype="half"),
            r"dtype is 'half'; expected torch.float32 or",
        ),
        (
            lambda: zoo.torch.Recurrent("gru", I, H, device="cuda:0"),
            r"computes on the CPU, and the module would be on cuda:0",
        ),
        (
            lambda: zoo.torch.Recurrent("gru", [I], H),
            r"^cell 'gru': input_size is \[3\]; expected an integer",
        ),
        (
            lambda: layer("gru")(torch.full((T, B), I)),
            r"^cell 'gru': inputs hold 3; expected tokens from",
        ),
        (lambda: layer("gru")(X, lengths="ab"), "lengths cannot be converted to a tensor"),
        *(
            (lambda lengths=lengths: layer("gru")(X, lengths=lengths), "lengths are .*; expected integers")
            for lengths in (
                [3.5, 2, 1],
                np.ones(3),
                *(torch.ones(3, dtype=each) for each in (torch.bool, torch.float32, torch.complex64)),
            )
        ),
        (lambda: layer("gru")(X, hx=HIDDEN), "unknown argument 'hx'; .* Pass initial states as 'state'"),
        (lambda: layer("gru")(X, length=[1]), "unknown argument 'length'; .* Did you mean 'lengths'"),
        (lambda: layer("ltc")(X, stat=[1]), "'stat'; auxiliary inputs are dt. Did you mean 'state'"),
        (lambda: layer("ltc")(X, dtt=[1]), "'dtt'; auxiliary inputs are dt. Did you mean 'dt'"),
        (lambda: zoo.export.to_onnx(layer("gru"), "never.onnx"), "found a zoo.torch.Recurrent; .*to_layer"),
        (lambda: zoo.export.to_c(layer("gru"), "never.c"), "found a zoo.torch.Recurrent; .*to_layer"),
        (lambda: zoo.torch.Recurrent("gru", I, H, batch_first="no"), "batch_first is 'no'; expected True"),
        (
            lambda: layer("gru")(X, lengths=[1, 2]),
            r"^cell 'gru': lengths are int64\(2,\); expected integers \(3,\)",
        ),
    ],
)
def test_invalid_argument_raises(call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call()


# ---- programs that would store outputs as constants, and the way to other formats ---------------------


class WithReadout(torch.nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.rnn, self.readout = rnn, torch.nn.Linear(H, 1)

    def forward(self, *arguments):
        return self.readout(self.rnn(*arguments)[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_weights_of_any_float_dtype_are_converted(dtype):
    theirs = torch.nn.LSTM(I, H).to(dtype).state_dict()
    params = zoo.convert.from_torch("lstm", theirs)
    expected = theirs["weight_ih_l0"].double().numpy().T
    np.testing.assert_array_equal(params["l0.Wx"].astype("f8"), expected)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        (torch.zeros(T, B, I),),
        (torch.zeros(T, 0, I),),
        (torch.zeros(T, B, I), torch.zeros(1, B, H)),
        (torch.zeros(T, B, dtype=torch.int64),),
    ],
)
def test_tracing_raises(is_nested, grad, given):
    """A trace would store outputs as constants; the check of torch.jit.trace passes without gradients."""
    module = layer(dtype=torch.float32)
    module = WithReadout(module) if is_nested else module
    with torch.set_grad_enabled(grad):
        with pytest.raises(UsageError, match=r"zoo\.export\.to_onnx\(module\.to_layer\(\)"):
            torch.jit.trace(module, given)
        module(*given)  # and no sooner


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("cell", ["gru", "lem"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_scripting_raises(cell, is_nested):
    module = layer(cell, dtype=torch.float32)
    module = WithReadout(module) if is_nested else module
    with pytest.raises(UsageError, match=r"zoo\.export\.to_onnx\(module\.to_layer\(\)"):
        torch.jit.script(module)


@pytest.mark.parametrize("is_strict", [False, True])
def test_export_to_onnx_raises(monkeypatch, is_strict):
    """``torch.onnx.export`` calls ``torch.export.export``, at first not strictly, and then strictly."""
    torch._dynamo.reset()
    module, x = layer(dtype=torch.float32), (X.float(),)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    with pytest.raises(Exception, match=r"zoo\.export\.to_onnx\(module\.to_layer\(\)"):
        torch.export.export(module, x, strict=is_strict)
    monkeypatch.undo()
    torch.export.export(module, x, strict=is_strict)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_export_by_tracing_raises(tmp_path):
    pytest.importorskip("onnx", reason="needs the extra `onnx`")
    with pytest.raises(UsageError, match=r"zoo\.export\.to_onnx\(module\.to_layer\(\)"):
        torch.onnx.export(layer(dtype=torch.float32), (X.float(),), tmp_path / "model.onnx", dynamo=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("cell", "layers", "more"),
    [
        ("gru", 1, {}),
        ("lstm", 2, {"bidirectional": True, "batch_first": True}),
        ("lstm", 1, {"proj_size": 2}),
        ("lem", 2, {"residual": True, "learned_state": True}),
        (["gru", "lem"], 1, {}),
        ("prenorm(lstm)", 2, {}),
        (COUNTING, 1, {}),
    ],
)
def test_layer_has_the_outputs_of_the_module(cell, layers, more, dtype):
    module = layer(cell, layers, dtype, **more)
    x = inputs(dtype=dtype).detach()
    expected, _ = module(x)
    ours = module.to_layer()
    y, _ = ours(x.numpy())
    np.testing.assert_array_equal(y, expected.detach().numpy())
    ours.theta = np.zeros_like(ours.theta)
    torch.testing.assert_close(module(x)[0], expected, rtol=0, atol=0)  # the arrays are copies
    sizes = module.input_size, module.hidden_size, module.num_layers
    assert sizes == (I, H, 2 if isinstance(cell, list) else layers)
    assert module.bidirectional == ("bidirectional" in more)
    assert module.residual == ("residual" in more)
    assert module.dropout == 0


@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers", "dropout", "dtype"])
def test_arguments_are_read_only(name):
    module = layer()
    with pytest.raises(AttributeError, match=name):
        setattr(module, name, 1)


# ---- arguments of torch.nn.LSTM, and batches without sequences ----------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
def test_proj_size_is_that_of_pytorch(bidirectional):
    options = {"num_layers": 2, "bidirectional": bidirectional, "proj_size": 2, "dtype": torch.float64}
    theirs = torch.nn.LSTM(3, 5, **options)
    ours = zoo.torch.Recurrent("lstm", 3, 5, **options)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    y, (h, c) = ours(x)
    expected, (their_h, their_c) = theirs(x)
    for one, other in ((y, expected), (h, their_h), (c, their_c)):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("cell", "options", "words"),
    [
        ("gru", {"proj_size": 2}, "proj_size is 2, which only the cell 'lstm' takes, and the cell is 'gru'"),
        (["lstm", "gru"], {"proj_size": 2}, "and the cell is a list"),
        ("lstm", {"proj_size": -1}, "proj_size is -1; expected an integer of at least 0"),
        ("lstm", {"bias": False}, "bias is False, but the biases of a cell belong to its equations"),
        ("lstm", {"bias": 0}, "bias is 0; expected True or False"),
    ],
)
def test_arguments_of_nn_lstm_name_the_alternative(cell, options, words):
    with pytest.raises(UsageError, match=words):
        zoo.torch.Recurrent(cell, 3, 5, **options)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_a_batch_without_sequences_is_that_of_pytorch(cell, batch_first, with_state):
    ours = zoo.torch.Recurrent(cell, 3, 5, num_layers=2, batch_first=batch_first)
    theirs = getattr(torch.nn, MODULES[cell])(3, 5, num_layers=2, batch_first=batch_first)
    x = torch.zeros((0, 4, 3) if batch_first else (4, 0, 3), requires_grad=True)
    zeros = torch.zeros(2, 0, 5)
    state = (zeros, zeros) if cell == "lstm" else zeros
    y, last = ours(x, state) if with_state else ours(x)
    expected, their_last = theirs(x, state) if with_state else theirs(x)
    assert y.shape == expected.shape
    if cell == "gru":
        last, their_last = (last,), (their_last,)
    assert [each.shape for each in last] == [each.shape for each in their_last]
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert all(not parameter.grad.any() for parameter in ours.parameters())
    tokens = torch.zeros((0, 4) if batch_first else (4, 0), dtype=torch.int64)
    assert ours(tokens)[0].shape == expected.shape


@pytest.mark.parametrize("option", [{"dropout": 0.5}, {"residual": True}])
def test_settings_without_effect_warn(option):
    with pytest.warns(zoo.ZooWarning, match="has no effect, because .*num_layers=2"):
        zoo.torch.Recurrent("gru", 3, 4, **option)
    zoo.torch.Recurrent("gru", 3, 4, num_layers=2, **option)


@pytest.mark.parametrize("dtype", [torch.bool, FLOAT64])
def test_episodes_in_a_row(dtype):
    module, x = layer("lstm+episodes"), torch.randn(9, 2, I, dtype=FLOAT64, requires_grad=True)
    starts = torch.zeros(9, 2)
    starts[[0, 4, 5], 0] = starts[6, 1] = 1
    y, _ = module(x, episode_start=starts.to(dtype))
    with pytest.raises(UsageError, match=r"input 'episode_start' is 0.5 at step 0 of sequence 0;"):
        module(x, episode_start=starts / 2)
    (dx,) = torch.autograd.grad(y.square().sum(), x)
    for row, cuts in ((0, [0, 4, 5, 9]), (1, [0, 6, 9])):
        for first, end in itertools.pairwise(cuts):
            part = x[first:end, row : row + 1].detach().requires_grad_()
            expected, _ = module(part)
            torch.testing.assert_close(y[first:end, row], expected[:, 0])
            torch.testing.assert_close(
                dx[first:end, row], torch.autograd.grad(expected.square().sum(), part)[0][:, 0]
            )
