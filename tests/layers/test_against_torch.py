"""Padded batches through layers in both directions against PyTorch's, in float64."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.kernels import pure_python

torch = pytest.importorskip("torch", reason="needs the extra `peers`")
rnn_utils = pytest.importorskip("torch.nn.utils.rnn")

T, B, I, H, L = 9, 5, 3, 4, 2  # noqa: E741 - the letters of the documents
LENGTHS = [4, 9, 1, 6, 6]
MODULES = {"lstm": "LSTM", "gru": "GRU", "vanilla": "RNN"}


def parameters(cell, arrays):
    """The arrays of one PyTorch layer, or their gradients, under zoo's names."""
    ih, hh, bias, inner = arrays
    if cell == "vanilla":
        return {"Wxh": ih.T, "Whh": hh.T, "bh": bias}
    results = {"Wx": ih.T, "Wh": hh.T, "b": bias}
    return results | {"bn": inner[2 * H :]} if cell == "gru" else results


def prefixes():
    """zoo's prefix of each layer, and PyTorch's suffix, in PyTorch's order."""
    for k in range(L):
        yield f"l{k}.", f"l{k}"
        yield f"l{k}.reverse.", f"l{k}_reverse"


def values(cell, module):
    """The parameters of the module under zoo's names: where it has two biases, zoo has their sum."""
    results = {}
    for prefix, suffix in prefixes():
        ih, hh, bias, inner = (
            getattr(module, f"{name}_{suffix}").detach().numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        summed = bias + inner
        if cell == "gru":
            summed[2 * H :] = bias[2 * H :]
        results |= {
            f"{prefix}{name}": value for name, value in parameters(cell, (ih, hh, summed, inner)).items()
        }
    return results


def gradients(cell, module):
    """The gradients of the module's parameters under zoo's names."""
    results = {}
    for prefix, suffix in prefixes():
        arrays = [
            getattr(module, f"{name}_{suffix}").grad.numpy()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        results |= {f"{prefix}{name}": value for name, value in parameters(cell, arrays).items()}
    return results


def stacked(state, name):
    """States of zoo as PyTorch stacks them, ``(L * 2, B, H)``."""
    return torch.tensor(np.stack([state[f"{prefix}{name}"] for prefix, _ in prefixes()]), requires_grad=True)


def unstacked(stack, name):
    return {
        f"{prefix}{name}": each for (prefix, _), each in zip(prefixes(), stack.detach().numpy(), strict=True)
    }


@pytest.mark.parametrize("cell", MODULES)
def test_padded_batch_in_both_directions(cell):
    torch.manual_seed(0)
    module = getattr(torch.nn, MODULES[cell])(I, H, L, bidirectional=True).double()
    names = [state.name for state in zoo.get_cell(cell).states.values()]
    rng = np.random.default_rng(1)

    def states():
        return {f"{prefix}{name}": rng.normal(size=(B, H)) for prefix, _ in prefixes() for name in names}

    x, dy = rng.normal(size=(T, B, I)), rng.normal(size=(T, B, 2 * H))
    state, dstate = states(), states()

    with pure_python():
        rnn = zoo.Recurrent(cell, I, H, num_layers=L, dtype="float64", bidirectional=True)
        rnn.fill(values(cell, module))
        y, last = rnn.forward(x, state, lengths=LENGTHS)
        dx, dfirst = rnn.backward(dy, dstate)

    given = torch.tensor(x, requires_grad=True)
    packed = rnn_utils.pack_padded_sequence(given, torch.tensor(LENGTHS), enforce_sorted=False)
    first = [stacked(state, name) for name in names]
    out, after = module(packed, tuple(first) if cell == "lstm" else first[0])
    after = after if cell == "lstm" else (after,)
    out, _ = rnn_utils.pad_packed_sequence(out, total_length=T)
    scalar = (out * torch.tensor(dy)).sum()
    for name, each in zip(names, after, strict=True):
        scalar = scalar + (each * stacked(dstate, name).detach()).sum()
    scalar.backward()

    expected = {"y": out.detach().numpy(), "dx": given.grad.numpy()}
    results = {"y": y, "dx": dx}
    for name, before, each in zip(names, first, after, strict=True):
        expected |= unstacked(each, name) | {f"d{k}": v for k, v in unstacked(before.grad, name).items()}
    results |= last | {f"d{name}": value for name, value in dfirst.items()}
    expected |= {f"gradient of {name}": value for name, value in gradients(cell, module).items()}
    results |= {f"gradient of {name}": value for name, value in rnn.grads.items()}
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], value, rtol=0, atol=1e-10, err_msg=name)
