"""Second derivatives, forward mode and ``torch.func`` of ``zoo.torch.Recurrent``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

import zoo
import zoo.torch
from zoo.errors import UsageError
from zoo.kernels import pure_python

torch = pytest.importorskip("torch", reason="needs the extra `torch`")
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap  # noqa: E402

# PyTorch itself uses it in forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

T, B, I, H = 3, 2, 2, 4  # noqa: E741 - the letters of the documents
FLOAT64 = torch.float64
MODULES: dict[str, dict[str, Any]] = {
    "vanilla": {"cell": "vanilla"},
    "gru in both directions": {"cell": "gru", "bidirectional": True},
    "projection": {"cell": "lstm", "proj_size": 2},
    "forget bias": {"cell": zoo.get_cell("lstm", forget_bias=0.5)},
    "two states with learned values": {"cell": "lem", "num_layers": 2, "learned_state": True},
    "a counter": {"cell": zoo.get_cell("clockwork", groups=2)},
    "complex states and buffers": {"cell": "lru"},
    "different cells": {"cell": ["gru", "lstm"]},
    "segments": {"cell": "gru", "recompute": 2},
}


@pytest.fixture(autouse=True)
def plain_python():
    """Run kernels as plain Python, since they have tests of their own."""
    with pure_python():
        yield


def module_of(name: str) -> Any:
    torch.manual_seed(0)
    module = zoo.torch.Recurrent(input_size=I, hidden_size=H, dtype=FLOAT64, **MODULES[name])
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
    return module


def inputs(*batch: int) -> Any:
    torch.manual_seed(1)
    return torch.randn(*batch, T, B, I, dtype=FLOAT64, requires_grad=True)


def tensors(state: Any) -> list[Any]:
    """The tensors of a state in any form."""
    return [*(state.values() if isinstance(state, dict) else state if isinstance(state, tuple) else [state])]


def as_function(module: Any) -> tuple[Callable[..., Any], list[Any]]:
    """The module as a function of x and its parameters, and those."""
    names = [name for name, _ in module.named_parameters()]
    is_differentiated = [each.requires_grad for each in tensors(module(inputs())[1])]

    def function(x: Any, *parameters: Any) -> tuple[Any, ...]:
        y, state = functional_call(module, dict(zip(names, parameters, strict=True)), (x,))
        return y, *itertools.compress(tensors(state), is_differentiated)

    return function, [each.detach().clone().requires_grad_() for each in module.parameters()]


def squared(module: Any) -> Callable[..., Any]:
    return lambda x: module(x)[0].square().sum()


@pytest.mark.parametrize("name", MODULES)
def test_second_derivatives_and_forward_mode(name: str) -> None:
    function, parameters = as_function(module_of(name))
    assert torch.autograd.gradcheck(function, (inputs(), *parameters), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, (inputs(), *parameters), fast_mode=True)


@pytest.mark.parametrize("name", ["gru in both directions", "different cells", "a counter"])
def test_second_derivatives_of_given_states(name: str) -> None:
    module = module_of(name)
    _, last = module(inputs())
    given = [each.detach().clone().requires_grad_(each.requires_grad) for each in tensors(last)]

    def function(x: Any, *states: Any) -> Any:
        if isinstance(last, dict):
            return module(x, dict(zip(last, states, strict=True)))[0]
        return module(x, states if isinstance(last, tuple) else states[0])[0]

    assert torch.autograd.gradgradcheck(function, (inputs(), *given), fast_mode=True)


def test_a_gradient_penalty_equals_the_one_of_pytorch() -> None:
    ours, theirs = (
        module_of("gru in both directions"),
        torch.nn.GRU(I, H, bidirectional=True, dtype=FLOAT64),
    )
    theirs.load_state_dict(ours.state_dict())
    results = []
    for module in (ours, theirs):
        x = inputs()
        (dx,) = torch.autograd.grad(squared(module)(x), x, create_graph=True)
        (module(x)[1].sum() + dx.square().sum()).backward()
        results.append([x.grad, *(each.grad for each in module.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)


def test_second_derivatives_with_tokens_and_lengths() -> None:
    module, tokens = module_of("two states with learned values"), torch.randint(0, I, (T, B))
    weight = next(module.parameters())
    for arguments in ((tokens,), (inputs().detach(), None, [T, 1])):
        expected = []
        for _ in range(2):
            (gradient,) = torch.autograd.grad(module(*arguments)[0].square().sum(), weight, create_graph=True)
            expected.append(gradient)
        (second,) = torch.autograd.grad((expected[0] * expected[1].detach()).sum(), weight)
        direction, step = expected[1].detach(), 1e-6
        with torch.no_grad():
            weight.add_(step * direction)
        (above,) = torch.autograd.grad(module(*arguments)[0].square().sum(), weight)
        with torch.no_grad():
            weight.sub_(2 * step * direction)
        (below,) = torch.autograd.grad(module(*arguments)[0].square().sum(), weight)
        with torch.no_grad():
            weight.add_(step * direction)
        torch.testing.assert_close(second, (above - below) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["gru in both directions", "different cells"])
def test_transformations_of_torch_func(name: str) -> None:
    module, xs = module_of(name), inputs(2)
    parameters = {key: value.detach() for key, value in module.named_parameters()}

    def loss(parameters: Any, x: Any) -> Any:
        return functional_call(module, parameters, (x,))[0].square().sum()

    of_samples = vmap(grad(loss), (None, 0))(parameters, xs)
    for index, x in enumerate(xs):
        one = grad(loss)(parameters, x)
        for key, value in module.named_parameters():
            (expected,) = torch.autograd.grad(squared(module)(x), value)
            torch.testing.assert_close(one[key], expected)
            torch.testing.assert_close(of_samples[key][index], expected)
    models = {key: torch.stack([value, 2 * value]) for key, value in parameters.items()}
    ensemble = vmap(loss, (0, None))(models, xs[0])
    for index in range(2):
        one_model = {key: value[index] for key, value in models.items()}
        torch.testing.assert_close(ensemble[index], loss(one_model, xs[0]))
    with torch.no_grad():
        torch.testing.assert_close(vmap(lambda x: module(x)[0])(xs)[1], module(xs[1])[0])


def test_jacobians_and_hessians() -> None:
    module, x = module_of("forget bias"), inputs().detach()
    direction = torch.randn_like(x)

    def last_sum(x: Any) -> Any:
        return module(x)[0][-1].sum(0)

    expected = torch.autograd.functional.jacobian(last_sum, x)
    torch.testing.assert_close(jacrev(last_sum)(x), expected)
    torch.testing.assert_close(jacfwd(last_sum)(x), expected)
    product = jvp(last_sum, (x,), (direction,))[1]
    torch.testing.assert_close(product, torch.einsum("iabc,abc->i", expected, direction))
    matrix = torch.autograd.functional.hessian(squared(module), x)
    torch.testing.assert_close(hessian(squared(module))(x), matrix)
    torch.testing.assert_close(jacrev(grad(squared(module)))(x), matrix)
    _, of_direction = torch.autograd.functional.hvp(squared(module), x, direction)
    torch.testing.assert_close(of_direction, torch.einsum("abcdef,def->abc", matrix, direction))


def test_third_derivatives_raise() -> None:
    module, x = module_of("vanilla"), inputs()
    (first,) = torch.autograd.grad(squared(module)(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x, create_graph=True)
    with pytest.raises(UsageError, match="can be differentiated twice"):
        second.sum().backward()
    tangent = jvp(squared(module), (x,), (torch.ones_like(x),))[1]
    with pytest.raises(UsageError, match="gradient of a derivative in forward mode is unknown"):
        tangent.backward()


def test_buffers_and_auxiliary_inputs_have_no_derivative() -> None:
    x = inputs()
    module = zoo.torch.Recurrent("ctrnn", I, H, dtype=FLOAT64)
    (name,) = (name for name in module.to_layer().stack.inputs)
    value = torch.ones(T, B, *module.to_layer().stack.input_shapes[name], dtype=FLOAT64)
    with pytest.raises(UsageError, match=f"'{name}' has a tangent in forward mode"):
        jvp(lambda value: module(x, **{name: value})[0], (value,), (value,))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(value, value)
        with pytest.raises(UsageError, match=f"'{name}' has a tangent in forward mode"):
            module(x, **{name: dual})
    esn = zoo.torch.Recurrent("esn", I, H, dtype=FLOAT64)
    both = {key: each.detach() for key, each in (*esn.named_parameters(), *esn.named_buffers())}

    def loss(arrays: Any) -> Any:
        return functional_call(esn, arrays, (x.detach(),))[0].square().sum()

    with pytest.raises(UsageError, match=r"buffer '.*' requires a gradient, and none is computed"):
        grad(loss)(both)
    with pytest.raises(UsageError, match="has a tangent in forward mode"):
        jvp(loss, (both,), (both,))


def test_transformations_without_recording_and_in_training() -> None:
    module, x = zoo.torch.Recurrent("gru", I, H, 2, dropout=0.5, dtype=FLOAT64), inputs().detach()
    xs = torch.stack([x, x])
    draws = vmap(lambda x: module(x)[0], randomness="different")(xs)
    assert not torch.equal(draws[0], draws[1])
    torch.testing.assert_close(*vmap(lambda x: module(x)[0], randomness="same")(xs))
    module.eval()
    expected = jacrev(lambda x: module(x)[0][-1].sum(0))(x)
    with torch.no_grad():
        torch.testing.assert_close(jacrev(lambda x: module(x)[0][-1].sum(0))(x), expected)
    with pytest.raises(UsageError, match="forward mode is unknown"):
        jacfwd(jacfwd(squared(module)))(x)


def test_dropout_between_layers_has_no_second_derivatives() -> None:
    module, x = zoo.torch.Recurrent("gru", I, H, 2, dropout=0.5, dtype=FLOAT64), inputs()
    (dx,) = torch.autograd.grad(squared(module)(x), x, create_graph=True)
    with pytest.raises(UsageError, match="not available for `dropout` between layers"):
        dx.sum().backward()
    module.eval()
    (dx,) = torch.autograd.grad(squared(module)(x), x, create_graph=True)
    dx.sum().backward()
    assert x.grad is not None
