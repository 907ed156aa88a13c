"""Initial values of LSTMs and other gated cells.

For code in TensorFlow, Theano or Chainer, small objects take the place of these libraries. They draw each
array by the initializer that the code names, or by the default of the library.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torchrecurrent
import yaml  # which Flax needs, too
from block_references import _xlstm
from initial_draws._draws import Draw, DrawCell, Sizes, Values, defaults_of
from official import official, official_text
from references import m2rnn as matrix_rnn
from references import on_lstm as ordered
from references import phased_lstm as phased
from references import skip_lstm as skip
from references.para_gru import COPY as PARA_RNN
from torch import nn
from torch.nn import functional

Initializer = Callable[[Any], torch.Tensor]
TORCH: Values = {"torch": torch, "nn": nn, "F": functional}
# No licence file.
BRC_AUTHORS = ("nvecoven/BRC", "1b995393941e73116c5437f3a784a25eb3ba563f", "cells/cells.py")
STAR_AUTHORS = ("0zgur0/STAckable-Recurrent-network", "acc5523ec7c2c24c4e1f45f93d64af9d0c653d53", "star.py")
RAN_AUTHORS = ("kentonl/ran", "bcee2c80633168f65b69187486ece32ba19ec9db", "ran.py")
# BSD licence with 3 clauses.
ATR_AUTHORS = (
    "bzhangGo/ATR",
    "4283f69aad17d1e56c6ed4f47d0c2c2dcd65334d",
    "lm/pytorch-lm/rnn/atr.py",
)
# Apache licence 2.0.
ADDONS = (
    "tensorflow/addons",
    "d208d752e98c310280938efa939117bf635a60a8",
    "tensorflow_addons/rnn/nas_cell.py",
)
ELSTM_AUTHORS = (
    "IDSIA/rtrl-elstm",
    "b56cade7dd04a0a69718fd53603994f51a5282d5",
    "reinforcement_learning/torchbeast/layer.py",
)
# Creative Commons Attribution 4.0, according to its README.
LIGRU_AUTHORS = (
    "mravanelli/pytorch-kaldi",
    "9773257d4c4edb8bd9a2dcd8c81afa2a4ab9da07",
    "neural_networks.py",
)
# MIT licence.
EDGE_ML = (
    "microsoft/EdgeML",
    "81025fce8ba28707eabe72e11bf3987a8d745608",
    "pytorch/edgeml_pytorch/graph/rnn.py",
)
JANET_AUTHORS = (
    "JosvanderWesthuizen/janet",
    "fa2f0a50e883993d51f40c3ae81daa7603af464a",
    "aux_code/rnn_cells.py",
)
RHN_AUTHORS = ("jzilly/RecurrentHighwayNetworks", "9ab03a36ed548fe4267f993e47494e417cd4bdab")
# BSD licence with 2 clauses.
MULTIPLICATIVE_AUTHORS = ("benkrause/mLSTM", "fe32a001b307ed11cee606dbfb78c4397a3bd199")


def filled(fill: Callable[..., torch.Tensor], *bounds: float) -> Initializer:
    """An initializer from a function of PyTorch that fills a tensor."""
    return lambda shape: fill(torch.empty(*shape), *bounds)


def constant(value: float = 0, dtype: Any = None) -> Initializer:
    """One number everywhere."""
    return filled(nn.init.constant_, float(value))


ZERO, NORMAL = constant(0), filled(nn.init.normal_, 0.0, 0.1)
GLOROT = filled(nn.init.xavier_uniform_)
# Initializers of Keras by name.
INITIALIZERS = {"glorot_uniform": GLOROT, "orthogonal": filled(nn.init.orthogonal_), "zeros": ZERO}


class Graph:
    """TensorFlow 1 with tensors of PyTorch as variables.

    Args:
        initializer: Initializer of the variables that have none of their own. The default of TensorFlow is
            Glorot uniform.
    """

    def __init__(self, initializer: Initializer = GLOROT) -> None:
        self.initializer = initializer
        self.variables: list[torch.Tensor] = []

    def get_variable(self, name: str, shape: Any, dtype: Any = None, initializer: Any = None) -> torch.Tensor:
        """Draw a variable and store it."""
        self.variables.append((initializer or self.initializer)(shape))
        return self.variables[-1]

    def module(self) -> SimpleNamespace:
        """Members of TensorFlow that the cells use."""
        members = vars(skip.TENSORFLOW) | {
            "get_variable": self.get_variable,
            "get_variable_scope": lambda: SimpleNamespace(set_partitioner=lambda _: None),
            "variable_scope": nullcontext,
            "device": nullcontext,
            "constant_initializer": constant,
            "float32": torch.float64,
            "matmul": torch.matmul,
            "concat": torch.cat,
            "zeros": torch.zeros,
            "log": torch.log,
            "nn": SimpleNamespace(
                bias_add=torch.add,
                rnn_cell=skip.TENSORFLOW.nn.rnn_cell,
                sigmoid=torch.sigmoid,
                xw_plus_b=lambda x, w, b: x @ w + b,
            ),
            "contrib": SimpleNamespace(
                rnn=SimpleNamespace(
                    BasicLSTMCell=BasicLSTMCell, RNNCell=object, LSTMStateTuple=lambda *values: values
                )
            ),
        }
        return SimpleNamespace(**members)


class BasicLSTMCell:
    """The base class of cells in TensorFlow 1."""

    def __init__(self, num_units: int) -> None:
        self._state_is_tuple = True
        self._activation = torch.tanh


NEST = SimpleNamespace(is_sequence=lambda value: isinstance(value, list))
# The seed of the code is ignored, so that draws differ.
RANDOM_OPS = SimpleNamespace(
    random_uniform=lambda shape, minval, maxval, dtype, seed: torch.empty(*shape).uniform_(minval, maxval)
)


def matrix_lstm(n: Sizes) -> Draw:
    """``mLSTMLayer`` and ``mLSTMCell``, with biases and with projections that read the input of the layer.

    The output gate is the second half of ``proj_up``. The gates i and f read q, k and v there, so their
    weights are multiplied by those of q, k and v.
    """
    tools = _xlstm.environment() | {
        "LinearHeadwiseExpand": lambda config: nn.Linear(n.I, n.H, config.bias),
        "UpProjConfigMixin": object,
        "parallel_stabilized_simple": None,
        "recurrent_step_stabilized_simple": None,
    }
    tools["mLSTMCell"] = official(*_xlstm.AUTHORS, "xlstm/blocks/mlstm/cell.py", "mLSTMCell", **tools)
    names = ("mLSTMLayerConfig", "mLSTMLayer")
    Config, Layer = official(*_xlstm.AUTHORS, "xlstm/blocks/mlstm/layer.py", *names, **tools)
    defaults = {name: getattr(Config, name) for name in Config.__annotations__}
    chosen = {"embedding_dim": n.I, "_inner_embedding_dim": n.H, "num_heads": n.heads, "bias": True}
    layer = Layer(SimpleNamespace(**defaults | chosen | {"context_length": 1}))
    cell = layer.mlstm_cell
    qkv = [layer.q_proj, layer.k_proj, layer.v_proj]
    read = torch.cat([each.weight for each in qkv])
    output = layer.proj_up.weight[n.H :], layer.proj_up.bias[n.H :]
    arrays = {
        "Wx": torch.cat([read, output[0]]).T,
        "b": torch.cat([*(each.bias for each in qkv), output[1]]),
        "Wg": (torch.cat([cell.igate.weight, cell.fgate.weight]) @ read).T,
        "bg": torch.cat([cell.igate.bias, cell.fgate.bias]),
    }
    return Draw(arrays, {"heads": defaults["num_heads"]})


def slstm(n: Sizes) -> Draw:
    """``sLSTMLayer`` with the parameters of ``sLSTMCellBase``, and with input weights in one block."""
    tools = _xlstm.environment() | {
        "LinearHeadwiseExpand": lambda config: nn.Linear(n.I, n.H, config.bias),
        "rnn_function_registry": {"slstm": {"states": 4}},
        "LOGGER": SimpleNamespace(debug=lambda message: None),
        "sqrt": math.sqrt,
        "field": lambda default_factory: default_factory(),
    }
    path = "xlstm/components/util.py"
    tools["ParameterProxy"] = official(*_xlstm.AUTHORS, path, "ParameterProxy", **tools)
    path, names = "xlstm/blocks/slstm/cell.py", ("sLSTMCellConfig", "sLSTMCellBase")
    tools |= dict(zip(names, official(*_xlstm.AUTHORS, path, *names, **tools), strict=True))
    path, names = "xlstm/blocks/slstm/layer.py", ("sLSTMLayerConfig", "sLSTMLayer")
    tools["sLSTMCell"] = tools["sLSTMCellBase"]
    Config, Layer = official(*_xlstm.AUTHORS, path, *names, **tools)
    heads = Config.num_heads
    config = Config()
    config.embedding_dim, config.num_heads = n.I, n.heads
    config.__post_init__()
    config.hidden_size = n.H
    layer = Layer(config)
    layer.reset_parameters()  # as xLSTMBlock does
    cell = layer.slstm_cell
    gates = [layer.igate, layer.fgate, layer.zgate, layer.ogate]
    arrays = {
        "Wx": torch.cat([each.weight for each in gates]).T,
        "R": cell._recurrent_kernel_.flatten(2),
        "b": cell._bias_.transpose(0, 1).flatten(),
    }
    return Draw(arrays, {"heads": heads})


def on_lstm(n: Sizes) -> Draw:
    """``ONLSTMCell``, of whose two biases that of the state is the one here."""
    names = ("LinearDropConnect", "ONLSTMCell")
    cell = official(*ordered.AUTHORS, *names, **TORCH)[-1](n.I, n.H, n.chunk)
    return Draw({"Wx": cell.ih[0].weight.T, "Wh": cell.hh.weight.T, "b": cell.hh.bias})


def skip_lstm(n: Sizes) -> Draw:
    """Variables that ``SkipLSTMCell`` creates in its first step."""
    graph = Graph()
    edits = {"a.get_shape()": "a.shape", "shape.ndims": "len(shape)", "shape[1].value": "shape[1]"}
    path, tools = "src/rnn_cells/rnn_ops.py", {"tf": graph.module(), "nest": NEST}
    _, linear = official(*skip.AUTHORS[:2], path, "get_variable", "linear", edits=edits, **tools)
    tools |= {"ops": SimpleNamespace(name_scope=nullcontext), "rnn_ops": SimpleNamespace(linear=linear)}
    tools |= dict.fromkeys(("SkipLSTMStateTuple", "SkipLSTMOutputTuple"), lambda *values: values)
    _, Cell = official(*skip.AUTHORS, "_binary_round", "SkipLSTMCell", **tools)
    memory, probability = torch.zeros(1, n.H), torch.zeros(1, 1)
    Cell(n.H)(torch.zeros(1, n.I), (memory, memory, probability, probability))
    joint, b, Wu, bu = graph.variables
    arrays = {"Wx": joint[: n.I], "Wh": joint[n.I :], "b": b, "Wu": Wu, "bu": bu}
    return Draw(arrays, {"forget_bias": defaults_of(Cell.__init__)["forget_bias"]})


class LasagneLayer:
    """The base class of layers in Lasagne."""

    def __init__(self, shapes: list[tuple[int, ...]]) -> None:
        self.input_shapes = shapes

    def add_param(self, initializer: Initializer, shape: tuple[int, ...], **tags: Any) -> torch.Tensor:
        """Draw a parameter."""
        return initializer(shape)


def lasagne_gate(
    W_in: Initializer = NORMAL,
    W_hid: Initializer = NORMAL,
    W_cell: Initializer | None = NORMAL,
    b: Initializer = ZERO,
    nonlinearity: Any = None,
) -> SimpleNamespace:
    """The parameters of a gate in Lasagne, with its defaults, which a comment of the official code states."""
    return SimpleNamespace(W_in=W_in, W_hid=W_hid, W_cell=W_cell, b=b, nonlinearity=nonlinearity)


def phased_lstm(n: Sizes) -> Draw:
    """``PLSTMLayer``, with an object in place of Lasagne."""
    initializers = SimpleNamespace(
        Uniform=lambda bounds: filled(nn.init.uniform_, *bounds),
        Constant=constant,
    )
    tools = {"lasagne": SimpleNamespace(init=initializers), "init": initializers, "np": np}
    tools |= {"nonlinearities": SimpleNamespace(sigmoid=None, tanh=None, identity=None)}
    tools |= {"Gate": lasagne_gate, "MergeLayer": LasagneLayer, "Layer": LasagneLayer}
    TimeGate, Layer = official(*phased.AUTHORS, "PLSTMTimeGate", "PLSTMLayer", **tools)
    with contextlib.redirect_stdout(io.StringIO()):
        layer = Layer((1, 1, n.I), (1, 1), n.H)
    gates = ("ingate", "forgetgate", "cell", "outgate")
    arrays = {
        "Wx": torch.cat([getattr(layer, f"W_in_to_{gate}") for gate in gates], dim=1),
        "Wh": torch.cat([getattr(layer, f"W_hid_to_{gate}") for gate in gates], dim=1),
        "b": torch.cat([getattr(layer, f"b_{gate}") for gate in gates]),
        "p": torch.stack([layer.W_cell_to_ingate, layer.W_cell_to_forgetgate, layer.W_cell_to_outgate]),
        "period": layer.period_timegate,
        "shift": layer.shift_timegate,
    }
    leak = defaults_of(Layer.__init__)["off_alpha"]
    return Draw(arrays, {"open": TimeGate().On_End([1]).item(), "leak": leak})


def elstm(n: Sizes) -> Draw:
    """``QuasiLSTMlayer``."""
    Layer = official(*ELSTM_AUTHORS, "QuasiLSTMlayer", **TORCH)
    layer = Layer(n.I, n.H, n.forget_bias)
    gate = layer.out_gate_linear
    arrays = {
        "Wx": torch.cat([layer.wm_f, layer.wm_z, gate.weight[:, : n.I]]).T,
        "b": torch.cat([layer.bias_f[0] - n.forget_bias, layer.bias_z[0], gate.bias]),
        "u": torch.cat([layer.wv_f, layer.wv_z]),
        "Wc": gate.weight[:, n.I :].T,
    }
    return Draw(arrays, {"forget_bias": defaults_of(Layer.__init__)["forget_bias"]})


class KerasLayer:
    """The base class of layers in Keras."""

    def __init__(self, *sizes: int, **settings: Any) -> None:
        self.weights: dict[str, torch.Tensor] = {}

    def build(self, shape: tuple[int, ...]) -> None:
        """Do nothing; the layers call it last."""

    def add_weight(
        self, name: str, shape: tuple[int, ...], dtype: Any = None, initializer: str | Initializer = GLOROT
    ) -> torch.Tensor:
        """Draw a weight and store it."""
        draw = INITIALIZERS[initializer] if isinstance(initializer, str) else initializer
        self.weights[name] = draw(shape)
        return self.weights[name]


def bistable(name: str, n: Sizes) -> dict[str, torch.Tensor]:
    """Weights of a class in ``cells.py``, by the names that they have in Keras."""
    keras = SimpleNamespace(
        layers=SimpleNamespace(Layer=KerasLayer), initializers=SimpleNamespace(constant=constant)
    )
    layer = official(*BRC_AUTHORS, name, tf=SimpleNamespace(keras=keras, float32=torch.float64))(n.H)
    layer.build((1, n.I))
    return layer.weights


def brc(n: Sizes) -> Draw:
    """``BRC``, where r is zoo's a and z is zoo's c."""
    drawn = bistable("BRC", n)
    arrays = {
        "Wx": torch.cat([drawn["kr"], drawn["kz"], drawn["kh"]], dim=1),
        "w": torch.stack([drawn["mr"], drawn["mz"]]),
        "b": torch.cat([drawn["br"], drawn["bz"]]),
    }
    return Draw(arrays)


def nbrc(n: Sizes) -> Draw:
    """``NBRC``, where r is zoo's a and z is zoo's c."""
    drawn = bistable("NBRC", n)
    arrays = {
        "Wx": torch.cat([drawn["kr"], drawn["kz"], drawn["kh"]], dim=1),
        "Wh": torch.cat([drawn["mr"], drawn["mz"]], dim=1),
        "b": torch.cat([drawn["br"], drawn["bz"]]),
    }
    return Draw(arrays)


def janet(n: Sizes) -> Draw:
    """Variables that ``CustomLSTMCell`` creates with a forget gate only. The gate is the second part."""
    graph = Graph()
    names, edits = ("chrono_init", "CustomLSTMCell"), {"x.get_shape().as_list()": "x.shape"}
    tools = {"tf": graph.module(), "random_ops": RANDOM_OPS, "LSTMStateTuple": lambda *values: values}
    _, Cell = official(*JANET_AUTHORS, *names, edits=edits, **tools)
    state = torch.zeros(1, n.H)
    with contextlib.redirect_stdout(io.StringIO()):
        Cell(n.H, t_max=n.t_max, forget_only=True)(torch.zeros(1, n.I), (state, state))
    return Draw({name: swapped(each) for name, each in zip(("Wx", "Wh", "b"), graph.variables, strict=True)})


def swapped(parts: torch.Tensor) -> torch.Tensor:
    """The two halves of the last axis in the other order."""
    first, second = parts.chunk(2, dim=-1)
    return torch.cat([second, first], dim=-1)


def star(n: Sizes) -> Draw:
    """Variables that ``STARCell`` creates. Its gate is one minus zoo's, so weights and bias are negated.

    The code ignores its argument ``t_max`` and has 784 in its place.
    """
    graph = Graph()
    names, edits = ("chrono_init", "STARCell"), {"x.get_shape().as_list()": "x.shape"}
    tools = {"tf": graph.module(), "random_ops": RANDOM_OPS, "LSTMStateTuple": lambda *values: values}
    tools["initializers"] = SimpleNamespace(get=INITIALIZERS.get)
    _, Cell = official(*STAR_AUTHORS, *names, edits=edits, **tools)
    state = torch.zeros(1, n.H)
    with contextlib.redirect_stdout(io.StringIO()):
        Cell(n.H)(torch.zeros(1, n.I), (state, state))
    to_candidate, to_gate, hidden, b = graph.variables
    candidate, gate = b.chunk(2)
    arrays = {
        "Wx": torch.cat([-to_gate, to_candidate], dim=1),
        "Wh": -hidden,
        "b": torch.cat([-gate, candidate]),
    }
    return Draw(arrays, {"t_max": defaults_of(Cell.__init__)["t_max"]})


def ligru(n: Sizes) -> Draw:
    """``liGRU`` with the settings of its experiments. The shifts of the batch norm are the biases here."""
    tools = {**TORCH, "strtobool": lambda text: text == "True"}
    Class = official(*LIGRU_AUTHORS, "LayerNorm", "act_fun", "liGRU", **tools)[-1]
    on, off = ("ligru_use_batchnorm", "ligru_orthinit"), ("ligru_use_laynorm", "ligru_use_laynorm_inp")
    off = (*off, "ligru_use_batchnorm_inp", "ligru_bidir", "use_cuda")
    settings = dict.fromkeys(on, "True") | dict.fromkeys(off, "False")
    settings |= {"ligru_lay": str(n.H), "ligru_drop": "0.0", "ligru_act": "relu", "to_do": "train"}
    model = Class(settings, n.I)
    arrays = {
        "Wx": torch.cat([model.wz[0].weight, model.wh[0].weight]).T,
        "Wh": torch.cat([model.uz[0].weight, model.uh[0].weight]).T,
        "b": torch.cat([model.bn_wz[0].bias, model.bn_wh[0].bias]),
    }
    return Draw(arrays)


def rhn(n: Sizes) -> Draw:
    """Variables that ``RHNCell`` creates, with the initializer of the training script.

    The bias of the transform gates contains zoo's ``transform_bias``. The one edit returns the settings,
    which Sacred reads from the function.
    """
    edits = {"vocab_size = 10000": "return locals()"}
    settings = official(*RHN_AUTHORS, "rhn_train.py", "hyperparameters", edits=edits)()
    scale = settings["init_scale"]
    graph = Graph(filled(nn.init.uniform_, -scale, scale))
    scopes = SimpleNamespace(variable_scope=nullcontext, get_variable=graph.get_variable)
    arrays = SimpleNamespace(concat=lambda axis, values: torch.cat(values, axis))
    tools = {"tf": graph.module(), "vs": scopes, "nest": NEST, "RNNCell": object, "array_ops": arrays}
    tools["math_ops"] = torch
    edits = {"a.get_shape().as_list()": "a.shape"}
    _, Cell = official(*RHN_AUTHORS, "rhn.py", "linear", "RHNCell", edits=edits, **tools)
    cell = Cell(n.H, n.I, True, n.depth, n.transform_bias)
    cell(torch.zeros(1, n.I), [torch.zeros(1, n.H), 1.0, 1.0])
    matrices, biases = graph.variables[::2], graph.variables[1::2]
    candidates, transforms = biases[::2], [each - n.transform_bias for each in biases[1::2]]
    joint = [torch.cat(matrices[i : i + 2], dim=1) for i in range(0, len(matrices), 2)]
    drawn = {
        "Wx": joint[0][: n.I],
        "R": torch.stack([joint[0][n.I :], *joint[1:]]),
        "b": torch.stack([torch.cat(each) for each in zip(candidates, transforms, strict=True)]),
    }
    depth = defaults_of(Cell.__init__)["depth"]
    return Draw(drawn, {"depth": depth, "transform_bias": settings["init_bias"]})


class Chain:
    """The base class of models in Chainer."""

    def __init__(self, **links: Any) -> None:
        vars(self).update(links)

    def add_param(self, name: str, size: int, initializer: None) -> None:
        """Add a parameter of zeros."""
        setattr(self, name, SimpleNamespace(data=np.zeros(size)))

    def params(self) -> list[Any]:
        """Parameters, which the model only counts."""
        return [vars(self)["l1"].b]


def link(inputs: int, outputs: int) -> SimpleNamespace:
    """A linear layer of Chainer, without values."""
    return SimpleNamespace(W=SimpleNamespace(data=np.empty((outputs, inputs))), g=SimpleNamespace())


def gates_of(b: np.ndarray) -> list[np.ndarray]:
    """The parts a, i, f, o of an LSTM in Chainer, which keeps those of a unit side by side."""
    shape = (b.shape[0], b.shape[1] // 4, 4, *b.shape[2:])
    return [b.reshape(shape)[:, :, part] for part in range(4)]


def multiplicative_lstm(n: Sizes) -> Draw:
    """``RNNForLM`` with ``mLSTM``. The bias contains zoo's ``forget_bias``.

    The size of the embedding, 400, is the number of inputs here, and single precision is double.
    """
    initializers = SimpleNamespace(Zero=lambda: None, init_weight=lambda part, value: part.fill(value))
    tools = {"link": SimpleNamespace(Chain=Chain), "initializers": initializers}
    tools["lstm"] = SimpleNamespace(_extract_gates=gates_of)
    path = "chainer/mLSTMWN.py"
    _, layer = official(*MULTIPLICATIVE_AUTHORS, path, "LSTMBase", "mLSTM", **tools)
    tools = {"chainer": SimpleNamespace(Chain=Chain), "WN": link, "mLSTM": layer, "np": np, "inputs": n.I}
    tools["L"] = SimpleNamespace(EmbedID=link, Linear=link)
    names, edits = ("ortho_init", "RNNForLM"), {"400": "inputs", "np.float32": "np.float64"}
    _, Class = official(*MULTIPLICATIVE_AUTHORS, "chainer/train.py", *names, edits=edits, **tools)
    with contextlib.redirect_stdout(io.StringIO()):
        model = Class(2, n.H)

    def gates_first(values: np.ndarray) -> np.ndarray:
        a, i, f, o = gates_of(values[None])
        return np.concatenate([i[0], f[0], a[0], o[0]])

    forget_bias = model.l1.b.data[2]
    arrays = {
        "Wmx": model.WmxWN.W.data.T,
        "Wmh": model.WmhWN.W.data.T,
        "Wx": gates_first(model.WhxWN.W.data).T,
        "Wm": gates_first(model.WhmWN.W.data).T,
        "b": gates_first(model.l1.b.data) - np.repeat([0, forget_bias, 0, 0], n.H),
    }
    return Draw(arrays, {"forget_bias": forget_bias})


def fastgrnn(n: Sizes) -> Draw:
    """``FastGRNNCell``."""
    cell = official(*EDGE_ML, "RNNCell", "FastGRNNCell", **TORCH)[-1](n.I, n.H)
    b = torch.cat([cell.bias_gate[0], cell.bias_update[0]])
    return Draw({"Wx": cell.W, "Wh": cell.U, "b": b, "scale": torch.cat([cell.zeta[0], cell.nu[0]])})


def fastrnn(n: Sizes) -> Draw:
    """``FastRNNCell``."""
    cell = official(*EDGE_ML, "RNNCell", "FastRNNCell", **TORCH)[-1](n.I, n.H)
    arrays = {"Wx": cell.W, "Wh": cell.U, "b": cell.bias_update[0]}
    return Draw(arrays | {"alpha": cell.alpha[0, 0], "beta": cell.beta[0, 0]})


def tau_gru(n: Sizes) -> Draw:
    """``tauGRUCell`` of torchrecurrent, and the delay of its layer."""
    cell = torchrecurrent.tauGRUCell(n.I, n.H)
    u, z, g, a = cell.weight_hh.chunk(4)
    arrays = {"Wx": cell.weight_ih.T, "Wh": torch.cat([u, g, a]).T, "Wd": z.T, "b": cell.bias_ih}
    return Draw(arrays, {"delay": defaults_of(torchrecurrent.tauGRU.__init__)["delay"]})


def miru1(n: Sizes) -> Draw:
    """``MiRU1Cell`` of torchrecurrent."""
    Cell = torchrecurrent.MiRU1Cell
    cell = Cell(n.I, n.H)
    gate, candidate = cell.weight_hh.chunk(2)
    arrays = {"Wx": cell.weight_ih.T, "Wh": gate.T, "Wn": candidate.T, "b": cell.bias_ih}
    return Draw(arrays, {"keep": defaults_of(Cell.__init__)["update_coefficient"]})


def miru2(n: Sizes) -> Draw:
    """``MiRU2Cell`` of torchrecurrent."""
    Cell = torchrecurrent.MiRU2Cell
    cell, defaults = Cell(n.I, n.H), defaults_of(Cell.__init__)
    options = {"keep": defaults["update_coefficient"], "reset": defaults["reset_coefficient"]}
    return Draw({"Wx": cell.weight_ih.T, "Wh": cell.weight_hh.T, "b": cell.bias_ih}, options)


def atr(n: Sizes) -> Draw:
    """``ATR`` of the language model in PyTorch."""
    model = official(*ATR_AUTHORS, "ATR", nn=nn)(n.I, n.H)
    b = torch.cat([model.i2h.bias, model.h2h.bias])
    return Draw({"Wx": model.i2h.weight.T, "Wh": model.h2h.weight.T, "b": b})


def ran(n: Sizes) -> Draw:
    """Variables that ``RANCell`` creates in its first step: those of the content, then those of the gates."""
    graph, edits = Graph(), {"inputs.get_shape()[-1].value": "inputs.shape[-1]"}
    Cell = official(*RAN_AUTHORS, "RANCell", edits=edits, tf=graph.module())
    state = torch.zeros(1, n.H)
    Cell(n.H)(torch.zeros(1, n.I), (state, state))
    content, joint, b = graph.variables
    arrays = {"Wx": torch.cat([joint[: n.I], content], dim=1), "Wh": joint[n.I :], "b": b}
    squashes = defaults_of(Cell.__init__)["use_tanh"]
    return Draw(arrays, {"activation": "tanh" if squashes else "identity"})


def nas(n: Sizes) -> Draw:
    """``NASCell`` of TensorFlow Addons, with biases."""
    shapes = {
        "TensorShape": lambda shape: SimpleNamespace(with_rank=lambda _: shape),
        "compat": SimpleNamespace(dimension_value=lambda size: size),
    }
    tools = {"tf": SimpleNamespace(**shapes), "AbstractRNNCell": KerasLayer, "typechecked": lambda each: each}
    cell = official(*ADDONS, "NASCell", **tools)(n.H, use_bias=True)
    cell.build((1, n.I))
    return Draw({"Wx": cell.kernel, "Wh": cell.recurrent_kernel, "b": cell.bias})


class ParaRNNConfig:
    """The base class of settings in ParaRNN, which takes the type of a cell in brackets."""

    def __class_getitem__(cls, types: Any) -> type:
        return cls


class ParaRNNCell(ParaRNNConfig, nn.Module):
    """The base class of cells in ParaRNN, without what runs them."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self._config = config
        self.state_dim, self.input_dim = config.state_dim, config.input_dim
        self.device, self.dtype = config.device, config.dtype
        self._specific_init(config)

    def _set_nonlinearity_and_derivative(self, name: str) -> tuple[None, None]:
        return None, None

    def reset_parameters(self) -> None:
        """Do nothing; the cells draw all parameters again."""


def parallel(n: Sizes, file: str, name: str) -> Any:
    """A cell of ParaRNN with one head."""
    path, names = "pararnn/utils/init.py", ("xavier_uniform", "xlstm", "bias_minus_linspace")
    initializers = official(*PARA_RNN, path, *(f"{each}_init" for each in names), torch=torch, math=math)
    tools = {"torch": torch, "nn": nn, "math": math, "BaseRNNCell": ParaRNNCell}
    tools |= {"INIT_REGISTRY": dict(zip(names, initializers, strict=True))}
    tools |= {"Config": ParaRNNConfig, f"{name}Trait": None}
    tools |= dict.fromkeys((f"{name}SystemParameters", f"{name}Impl"))
    Config, Cell = official(*PARA_RNN, f"pararnn/rnn_cell/{file}.py", f"{name}Config", name, **tools)
    config = Config()
    vars(config).update(state_dim=n.H, input_dim=n.I, num_heads=1, device="cpu", dtype=torch.float64)
    return Cell(config)


def para_gru(n: Sizes) -> Draw:
    """``GRUDiagMH`` with one head."""
    cell = parallel(n, "gru_diag_mh", "GRUDiagMH")
    return Draw({"Wx": cell.B[0].flatten(1), "a": cell.A, "b": cell.b.flatten()})


def para_lstm(n: Sizes) -> Draw:
    """``LSTMCIFGDiagMH`` with one head."""
    cell = parallel(n, "lstm_cifg_diag_mh", "LSTMCIFGDiagMH")
    return Draw({"Wx": cell.B[0].flatten(1), "a": cell.A, "p": cell.C, "b": cell.b.flatten()})


class LocalModule(nn.Module):
    """The base class of modules of LM Engine whose parameters may be distributed, on one device."""

    is_tp_enabled = False


def m2rnn(n: Sizes) -> Draw:
    """``M2RNN`` with the settings of the model of 400 million parameters, without its convolution.

    Queries and keys have as many heads as values, and all heads have the same size.
    """
    config = yaml.safe_load(
        official_text(*matrix_rnn.AUTHORS, "configs/research/m2rnn/400m-normal/m2rnn.yml")
    )["model_args"]["pretrained_config"]
    mixer = config["sequence_mixer_blocks"][0]
    heads = [name for name in mixer if name.endswith("_heads")]
    sizes = {"k_head_dim": n.H // n.heads, "v_head_dim": n.H // n.heads}
    settings = mixer | dict.fromkeys(heads, n.heads) | sizes
    settings |= {"kernel_size": None, "activation_function": None}
    package, tools = "lm_engine/modeling_utils", TORCH | {"math": math, "DTensorModule": LocalModule}
    for part in ("initialized", "mup_learning_rate", "no_weight_decay"):
        tools[f"mark_parameter_as_{part}"] = lambda parameter: parameter
    tools["DTensor"] = LocalModule  # no parameter is one
    for path, name in (
        ("lm_engine/utils/miscellaneous.py", "divide_if_divisible"),
        (f"{package}/init_utils.py", "_get_std_for_linear"),
        (f"{package}/linear/base.py", "ParameterizedLinear"),
        (f"{package}/softplus_decay_gate/module.py", "SoftplusDecayGate"),
        (f"{package}/normalization.py", "RMSNorm"),
    ):
        tools[name] = official(*matrix_rnn.AUTHORS, path, name, **tools)
    tools["_NORMALIZATION_FUNCTIONS"] = {"rmsnorm": tools["RMSNorm"]}
    name = "get_normalization_function"
    tools[name] = official(*matrix_rnn.AUTHORS, f"{package}/normalization.py", name, **tools)
    path = f"{package}/sequence_mixer_blocks/m2rnn/module.py"
    Class = official(*matrix_rnn.AUTHORS, path, "M2RNN", **tools)
    names = ("initializer_range", "m_width", "init_method", "num_layers", "use_depth_scaled_init")
    chosen = {each: config[each] for each in names} | {"use_padding_free_transformer": False}
    layer = Class(n.I, n.H, SimpleNamespace(**settings), layer_idx=0, **chosen)
    qkv, f, g = layer.input_projection.weight.split([3 * n.H, n.heads, n.H])
    arrays = {
        "Wx": torch.cat([qkv, g, f]).T,
        "W": layer.state_weight,
        "ba": layer.decay_gate.dt_bias,
        "A": layer.decay_gate.A_log,
        "d": layer.D.flatten(),
        "gain": layer.g_norm.weight,
        "Wo": layer.output_projection.weight.T,
    }
    return Draw(arrays, {"heads": mixer["num_v_heads"]})


DRAWS: dict[str, DrawCell] = {
    "atr": atr,
    "brc": brc,
    "elstm": elstm,
    "fastgrnn": fastgrnn,
    "fastrnn": fastrnn,
    "janet": janet,
    "ligru": ligru,
    "m2rnn": m2rnn,
    "matrix_lstm": matrix_lstm,
    "miru1": miru1,
    "miru2": miru2,
    "multiplicative_lstm": multiplicative_lstm,
    "nas": nas,
    "nbrc": nbrc,
    "on_lstm": on_lstm,
    "para_gru": para_gru,
    "para_lstm": para_lstm,
    "phased_lstm": phased_lstm,
    "ran": ran,
    "rhn": rhn,
    "skip_lstm": skip_lstm,
    "slstm": slstm,
    "star": star,
    "tau_gru": tau_gru,
}
