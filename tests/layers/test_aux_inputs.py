"""Buffers, auxiliary inputs, complex and discrete arrays of cells."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kitchen_sink_cell import Rich

import zoo
from zoo import LanguageModel
from zoo.compiler import kernels_of
from zoo.errors import UnknownNameError, UsageError
from zoo.layers import Recurrent, StackConfig
from zoo.layers.stack import Stack
from zoo.layers.validation import as_aux_inputs

T, B, I, H = 4, 3, 5, 6  # noqa: E741 - the letters of the documents


def rich(layers=1, dtype="float64", **arguments):
    return Recurrent(Rich, I, H, num_layers=layers, dtype=dtype, **arguments)


def dense(batch=B, steps=T, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, batch, I))


# ---- the two passes -----------------------------------------------------------------------------------


def test_passes_with_hand_written_kernels():
    cell = Rich(radius=0.25)
    kernels = kernels_of(cell)
    assert (kernels.forward, kernels.backward) == (cell.kernel("forward"), cell.kernel("backward"))
    assert kernels.options == (0.25,)
    assert kernels.output_size(I, H) == H
    assert kernels.surrogate is False


def test_kernel_argument_order_of_buffers_and_aux_inputs():
    seen = []

    class Spy(Rich):
        """Remembers what its kernels are given."""

        @staticmethod
        def forward(params, x, state, inputs, radius):
            seen.append(("forward", params, state, inputs, radius))
            return Rich.forward(params, x, state, inputs, radius)

        @staticmethod
        def backward(params, x, state, inputs, tape, dy, dlast, radius):
            seen.append(("backward", params, state, inputs, radius))
            return Rich.backward(params, x, state, inputs, tape, dy, dlast, radius)

    rnn = Recurrent(Spy, I, H, dtype="float64")
    rnn.forward(dense())
    rnn.backward(np.ones((T, B, H)))
    assert [name for name, *_ in seen] == ["forward", "backward"]
    for _, params, state, inputs, radius in seen:
        assert [array.shape for array in params] == [(I, H), (2, H), (H, H)]
        assert [array.shape for array in state] == [(B, H), (B, 2, H), (B, 1)]
        assert [array.shape for array in inputs] == [(T, B)]
        assert radius == 0.5
        assert all(a.flags.carray and a.dtype == np.float64 for a in (*params, *state, *inputs))


# ---- buffers ------------------------------------------------------------------------------------------


def test_buffers_have_names_and_are_no_parameters():
    rnn = rich(layers=2)
    assert {name: value.shape for name, value in rnn.buffers.items()} == {"l0.A": (H, H), "l1.A": (H, H)}
    assert list(rnn.params) == list(rnn.grads) == ["l0.W", "l0.D", "l1.W", "l1.D"]
    assert rnn.theta.size == I * H + 2 * H + H * H + 2 * H
    assert Recurrent("vanilla", I, H).buffers == {}


def test_buffers_use_separate_random_streams():
    first, single, other = rich(2, seed=4), rich(2, "float32", seed=4), rich(2, seed=5)
    for name, value in first.buffers.items():
        np.testing.assert_allclose(value @ value.T, np.eye(H), atol=1e-13)
        np.testing.assert_array_equal(single.buffers[name], value.astype(np.float32))
        assert not np.array_equal(other.buffers[name], value)
    assert not np.array_equal(first.buffers["l0.A"], first.buffers["l1.A"])

    class Trained(Rich):
        """The same with A among the parameters, of which it is the third too."""

        A = zoo.Param("H", "H", init="orthogonal", help="hidden to hidden")

    trained = Recurrent(Trained, I, H, num_layers=2, dtype="float64", seed=4)
    for name in first.buffers:
        np.testing.assert_array_equal(trained.params[name], first.buffers[name])
    for name in first.params:
        np.testing.assert_array_equal(trained.params[name], first.params[name])


def test_buffers_are_read_only_but_can_be_filled():
    rnn = rich()
    with pytest.raises(ValueError, match="read-only"):
        rnn.buffers["l0.A"][0, 0] = 1
    with pytest.raises(
        UsageError, match=r"array 'l0.A' is a read-only buffer; give its values by name to fill"
    ):
        rnn.buffers["l0.A"] = np.eye(H)
    view = rnn.buffers["l0.A"]
    rnn.fill({"l0.A": np.eye(H), "l0.W": np.zeros((I, H))})
    np.testing.assert_array_equal(view, np.eye(H))
    assert not rnn.params["l0.W"].any()
    with pytest.raises(UnknownNameError, match=r"unknown array 'l0\.B'"):
        rnn.fill({"l0.B": 0})
    with pytest.raises(UsageError, match="expected real numbers of the shape"):
        rnn.fill({"l0.A": np.eye(H + 1)})


def test_deep_copy_has_separate_buffers():
    rnn = rich()
    copied = copy.deepcopy(rnn)
    copied.fill({"l0.A": np.zeros((H, H))})
    assert rnn.buffers["l0.A"].any()
    assert not copied.buffers["l0.A"].any()
    assert not np.array_equal(rnn.forward(dense())[0], copied.forward(dense())[0])


# ---- inputs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch", [3, 17, 200])
def test_aux_inputs_reach_their_sequences_with_any_threads(batch, layers):
    x, dt = dense(batch), np.random.default_rng(1).uniform(0.5, 1.5, (T, batch))
    dy = np.random.default_rng(2).normal(size=(T, batch, H))
    results = []
    for threads in (1, 3):
        rnn = rich(layers, threads=threads)
        y, _ = rnn.forward(x, dt=dt)
        dx, _ = rnn.backward(dy)
        results.append((y, dx, rnn.grad.copy()))
        for row in (0, batch - 1):
            alone, _, _ = rnn.apply(rnn.theta, x[:, [row]], dt=dt[:, [row]])
            np.testing.assert_allclose(y[:, [row]], alone, rtol=0, atol=1e-13)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(rich(layers).forward(x)[0], results[0][0])


def test_missing_aux_inputs_have_defaults():
    class Slow(Rich):
        """Has another default."""

        dt = zoo.Input(default=0.25, help="time since the last step")

    x = dense()
    for cell, default in ((Rich, 1.0), (Slow, 0.25)):
        rnn = Recurrent(cell, I, H, dtype="float64")
        expected = rnn.forward(x, dt=np.full((T, B), default))[0]
        np.testing.assert_array_equal(rnn.forward(x)[0], expected)
        np.testing.assert_array_equal(rnn.apply(rnn.theta, x)[0], expected)


class Elapsed(zoo.Cell):
    """Sums of an input that belongs to the time between steps, and of one that belongs to a step."""

    W = zoo.Param("I", "H", init="zeros")
    time, total = zoo.State("H"), zoo.State("H")
    dt = zoo.Input(default=7.0, between_steps=True)
    amount = zoo.Input(2)

    def step(self, x, time, total, dt, amount):
        time, total = time + dt, total + np.sum(amount)
        return zoo.Output(np.concatenate([time, total]) + 0 * np.sum(x @ self.W), time, total)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("lengths", [None, [4, 1, 3]])
def test_direction_that_reads_backwards_has_the_time_to_the_following_step(lengths):
    rng = np.random.default_rng(0)
    dt, amount = rng.uniform(size=(T, B)), rng.uniform(size=(T, B, 2))
    rnn = Recurrent(Elapsed, I, 1, bidirectional=True, dtype="float64")
    y, _ = rnn.forward(dense(), lengths=lengths, dt=dt, amount=amount)
    for row, length in enumerate(lengths or [T] * B):
        before, after = y[:length, row, :2], y[:length, row, 2:]
        intervals = dt[:length, row]
        np.testing.assert_allclose(before[:, 0], np.cumsum(intervals))
        np.testing.assert_allclose(after[:, 0], intervals[0] + intervals.sum() - np.cumsum(intervals))
        sums = amount[:length, row].sum(1)
        np.testing.assert_allclose(before[:, 1], np.cumsum(sums))
        np.testing.assert_allclose(after[:, 1], np.cumsum(sums[::-1])[::-1])


@pytest.mark.usefixtures("plain_python")
def test_cells_of_a_stack_may_read_an_input_in_both_ways():
    class AtStep(Elapsed):
        """The input belongs to a step."""

        dt = zoo.Input(default=7.0)

    dt = np.random.default_rng(0).uniform(size=(T, B))
    for first, second in ((Elapsed, AtStep), (AtStep, Elapsed)):
        rnn = Recurrent([first, second], I, 1, bidirectional=True, dtype="float64")
        y, _ = rnn.forward(dense(), dt=dt, amount=np.zeros((T, B, 2)))
        last = dt[0] if second is Elapsed else dt[-1]  # the time at the last step, the first one backwards
        np.testing.assert_allclose(y[-1, :, 2], last)


@pytest.mark.parametrize(
    "form", [lambda a: a.tolist(), lambda a: a.astype("f4"), np.asfortranarray, lambda a: a.astype(">f8")]
)
def test_inputs_of_any_form(form):
    dt = np.arange(1.0, 1 + T * B).reshape(T, B) / 8
    rnn, x = rich(), dense()
    np.testing.assert_array_equal(rnn.forward(x, dt=form(dt))[0], rnn.forward(x, dt=dt)[0])
    for ones in (np.ones((T, B), int), np.ones((T, B), bool)):
        np.testing.assert_array_equal(rnn.forward(x, dt=ones)[0], rnn.forward(x)[0])


def test_two_tapes_keep_their_inputs():
    rnn, x, dy = rich(), dense(), np.ones((T, B, H))
    slow, fast = np.full((T, B), 0.5), np.full((T, B), 2.0)
    tapes = [rnn.apply(rnn.theta, x, dt=dt)[2] for dt in (slow, fast)]
    result = [rnn.vjp(tape, dy)[2] for tape in tapes]
    for dt, gradient in zip((slow, fast), result, strict=True):
        rnn.forward(x, dt=dt)
        rnn.backward(dy)
        np.testing.assert_array_equal(gradient, rnn.grad)
    assert not np.allclose(*result)


@pytest.mark.parametrize(
    ("cell", "inputs", "words"),
    [
        (
            Rich,
            {"dtt": np.ones((T, B))},
            r"cell 'rich': unknown argument 'dtt'; auxiliary inputs are dt\. Did you",
        ),
        ("gru", {"sate": 1.0}, "unknown argument 'sate'; it has no auxiliary inputs. Did you mean 'state'?"),
        ("gru", {"length": 1.0}, "unknown argument 'length'; .* Did you mean 'lengths'?"),
        ("ltc", {"nose": 1.0}, "unknown argument 'nose'; auxiliary inputs are dt. Did you mean 'noise'?"),
        ("gru", {"hx": 1.0}, "unknown argument 'hx'; .* Pass initial states as 'state'."),
        ("gru", {"initial_state": 1.0}, "'initial_state'; .* Pass initial states as 'state'."),
        ("vanilla", {"dt": 1.0}, "cell 'vanilla': unknown argument 'dt'; it has no auxiliary inputs."),
        (Rich, {"dt": 1.0}, r"cell 'rich': input 'dt' is 1\.0; expected float32\(4, 3\)"),
        (
            Rich,
            {"dt": np.ones((B, T))},
            r"input 'dt' has the shape \(3, 4\); expected \(4, 3\). Time comes first: .* dt.swapaxes\(0, 1\)",
        ),
        (Rich, {"dt": np.ones((T, B, 1))}, r"has the shape \(4, 3, 1\); expected \(4, 3\)"),
        (Rich, {"dt": np.ones((T, B), complex)}, "is complex128"),
        (Rich, {"dt": None}, "input 'dt' is None"),
        (Rich, {"dt": [[1.0], [1.0, 2.0]]}, "input 'dt' cannot be made an array"),
    ],
)
def test_invalid_aux_inputs_raise(cell, inputs, words):
    rnn = Recurrent(cell, I, H)
    for call in (rnn.forward, lambda x, **given: rnn.apply(rnn.theta, x, **given)):
        with pytest.raises(UsageError, match=words):
            call(np.zeros((T, B, I)), **inputs)


class Bounded(zoo.Cell):
    """A cell with an auxiliary input from 0 to 1."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")
    gain = zoo.Input(default=0.5, low=0, high=1)

    def step(self, x, h, gain):
        return gain * h + x @ self.W


class Unbounded(Bounded):
    """The same cell for other numbers."""

    gain = zoo.Input(default=0.5)


@pytest.mark.parametrize(
    "form", ["forward", "apply", "jvp", "step", "stepper", "model", "fit", "trace", "rtrl", "stack"]
)
@pytest.mark.parametrize("value", [-1e-3, 1.001, np.inf, np.nan])
def test_values_out_of_bounds_raise(form, value):
    """No kernel is compiled: each call checks its arguments first."""
    rng = np.random.default_rng(0)
    x, gain = dense(), rng.uniform(size=(T, B))
    step, sequence = rng.integers(T), rng.integers(B)
    gain[step, sequence] = value
    rnn, model = Recurrent(Bounded, I, H), zoo.SequenceModel(Bounded, I, 1, H, loss="squared_error")
    stack = Recurrent([Unbounded, Bounded], I, H)
    calls = {
        "forward": lambda: rnn.forward(x, gain=gain),
        "apply": lambda: rnn.apply(rnn.theta, x, gain=gain),
        "jvp": lambda: rnn.jvp(x, x, gain=gain),
        "step": lambda: rnn.step(x[step], gain=gain[step]),
        "stepper": lambda: rnn.stepper(B)(x[step], gain=gain[step]),
        "model": lambda: model.loss(x, np.zeros((T, B, 1)), gain=gain),
        "fit": lambda: model.fit(x, np.zeros((T, B, 1)), aux={"gain": gain}, epochs=1),
        "trace": lambda: zoo.analysis.trace(rnn, x, gain=gain),
        "rtrl": lambda: zoo.RTRL(rnn).forward(x, gain=gain),
        "stack": lambda: stack.forward(x, gain=gain),
    }
    position = rf"sequence {sequence}" if form.startswith("step") else rf"step {step} of sequence {sequence}"
    sentence = rf": input 'gain' is {value:g} at {position}; expected numbers from 0 to 1\.$"
    with pytest.raises(UsageError, match=sentence):
        calls[form]()


class Left(Bounded):
    """A cell with an input without a default."""

    event = zoo.Input()

    def step(self, x, h, gain, event):
        return gain * h + event + x @ self.W


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("given", [(), ("gain",), ("event",), ("gain", "event")])
@pytest.mark.parametrize("has_validation", [False, True])
def test_fit_warns_of_inputs_without_a_value(given, has_validation, recwarn):
    model = zoo.SequenceModel(Left, I, 1, H, loss="squared_error", threads=1)
    aux = {name: np.full((T, B), 0.5) for name in given}
    data = {"inputs": dense(), "targets": np.zeros((T, B, 1)), "aux": aux}
    model.fit(**data, epochs=1, validation=data if has_validation else None)
    sentence = "fit: cell 'left' reads 'event', which `aux` lacks, so it is 0 at every step."
    assert [str(each.message) for each in recwarn] == [sentence] * ("event" not in given)


@given(data=st.data())
def test_bounds_hold_at_steps_of_sequences(data):
    """Numbers in padding may have any value, and NaN is within no bound."""
    low = data.draw(st.sampled_from([None, -1.0, 0.1]))
    high = data.draw(st.sampled_from([None, 0.1, 2.0]))
    choices = data.draw(st.sampled_from([None, (0.1,), (0.1, 2), [-1, 0.1, 0.5]]))
    low, high = (None, None) if choices is not None else (low, high)
    dtype = np.dtype(data.draw(st.sampled_from(["float32", "float64"])))
    lengths = data.draw(st.none() | st.lists(st.integers(1, T), min_size=B, max_size=B).map(np.array))
    numbers = st.sampled_from([-2.0, -1.0, 0.1, 0.5, 2.0, 3.0, np.nan])
    values = np.array(data.draw(st.lists(numbers, min_size=T * B, max_size=T * B))).reshape(T, B)
    is_bounded = low is not None or high is not None or choices is not None
    read = [
        value
        for row in range(B)
        for value in values[: T if lengths is None else lengths[row], row]
        if is_bounded or value == value
    ]
    is_inside = all(
        (low is None or value >= low)
        and (high is None or value <= high)
        and (choices is None or value in choices)
        for value in read
    )
    declared = zoo.Input(default=0.1, low=low, high=high, choices=choices)
    arguments = {"gain": values}, {"gain": declared}, {"gain": ()}, (T, B), dtype, "cell 'mine'", lengths
    if is_inside:
        np.testing.assert_array_equal(as_aux_inputs(*arguments)["gain"], values.astype(dtype))
    else:
        with pytest.raises(UsageError, match=r"^cell 'mine': input 'gain' is \S+ at step \d of sequence \d;"):
            as_aux_inputs(*arguments)


@pytest.mark.parametrize(
    "bounds", [{"choices": (0, 1)}, {"low": 0, "high": 1}, {"low": 0.5}, {"choices": (1,)}]
)
@pytest.mark.parametrize("value", [False, True])
def test_booleans_are_the_numbers_0_and_1(bounds, value):
    declared = zoo.Input(default=1, **bounds)
    given = {"gain": np.full((T, B), value)}, {"gain": declared}, {"gain": ()}, (T, B), np.dtype("float32")
    if declared.allows(int(value)):
        assert (as_aux_inputs(*given, "x")["gain"] == value).all()
    else:
        with pytest.raises(
            UsageError, match=f"input 'gain' is 0 at .*; expected {declared.expected('numbers')}"
        ):
            as_aux_inputs(*given, "x")


LIMITS = st.tuples(st.sampled_from([None, -1, 0, 2]), st.sampled_from([None, -1, 1, 3])).filter(
    lambda each: None in each or each[0] <= each[1]
) | st.lists(st.integers(-1, 3), min_size=1, max_size=3, unique=True)
"""Bounds of an input, or a list of its choices."""


@given(limits=st.lists(LIMITS, min_size=2, max_size=4))
def test_layers_with_an_input_allow_a_common_value(limits):
    """No kernel is compiled: the stack checks the bounds when it is built."""
    cells = []
    for n, each in enumerate(limits):
        if isinstance(each, list):
            declared = zoo.Input(default=each[0], choices=each)
        else:
            default = each[1] if each[0] is None else each[0]
            declared = zoo.Input(default=0 if default is None else default, low=each[0], high=each[1])
        attributes = {"gain": declared, "name": f"cell{n}", "__doc__": "A cell."}
        cells.append(type(f"Cell{n}", (Bounded,), attributes))
    numbers = np.arange(-3, 6)
    allowed = [np.array([cell.gain.allows(number) for number in numbers]) for cell in cells]
    if np.all(allowed, axis=0).any():
        declared = Recurrent(cells, I, H).stack.inputs["gain"]
        assert [declared.allows(number) for number in numbers] == np.all(allowed, axis=0).tolist()
        return
    with pytest.raises(UsageError, match=r"'gain' is .* and no value suits both; rename it") as error:
        Recurrent(cells, I, H)
    first, second = (int(each) for each in re.findall(r"\(cell 'cell(\d)'\)", str(error.value)))
    assert first < second
    assert not np.all(allowed[: second + 1], axis=0).any()  # of lists, any two may have a value in common
    assert not (allowed[first] & allowed[second]).any() or any(isinstance(each, list) for each in limits)
    for n in (first, second):
        assert f"{cells[n].gain.bounds_text()} in layer {n} (cell 'cell{n}')" in str(error.value)


@pytest.mark.parametrize("cell", ["cfc", "ctrnn", "gru_ode", "ltc", "phased_lstm"])
def test_times_between_steps_are_not_negative(cell):
    with pytest.raises(UsageError, match=r"input 'dt' is -1 at step 0 of sequence 0; expected numbers of at"):
        Recurrent(cell, I, H).forward(dense(), dt=np.full((T, B), -1))


def masked_forward(params, x, state, inputs):
    (W,), (h,), (mask,) = params, state, inputs
    y = np.empty((*x.shape[:2], W.shape[1]), W.dtype)
    for t in range(len(x)):
        y[t] = h = np.tanh((x[t] * mask[t]) @ W + h)
    return y, (h.copy(),), ()


def masked_backward(params, x, state, inputs, tape, dy, dlast):
    raise NotImplementedError


class Masked(zoo.Cell):
    """Sees only the features ``m`` lets through."""

    card = Rich.card
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")
    m = zoo.Input("I", default=1.0)
    forward = masked_forward
    backward = masked_backward


def test_aux_input_of_size_x_needs_equal_layers():
    words = r"every layer gets the same inputs, but 'm' is \(5,\) in layer 0 and \(6,\) in layer 1"
    with pytest.raises(UsageError, match=words):
        Stack(StackConfig(Masked(), I, H, 2))
    x, mask = dense(), np.zeros((T, B, I))
    assert Recurrent(Masked, I, I, num_layers=2).forward(x)[0].any()
    rnn = Recurrent(Masked, I, H)
    assert not rnn.forward(x, m=mask)[0].any()
    with pytest.raises(UsageError, match=r"input 'm' has the shape \(4, 3, 6\); expected \(4, 3, 5\)"):
        rnn.forward(x, m=np.zeros((T, B, H)))


# ---- the language model -------------------------------------------------------------------------------


def test_language_model_has_the_buffers_and_the_defaults():
    model = LanguageModel("abcde", Rich, H, 2, dtype="float64", seed=3)
    rnn = rich(2, seed=3)
    assert list(model.buffers) == list(rnn.buffers) == ["l0.A", "l1.A"]
    assert list(model.params) == [*rnn.params, "Why", "by"]
    for name, value in {**rnn.params, **rnn.buffers}.items():
        np.testing.assert_array_equal({**model.params, **model.buffers}[name], value)
    tokens = np.random.default_rng(0).integers(5, size=(T, B))
    y, last = rnn.forward(tokens)
    logits, model_last = model.logits(tokens)
    np.testing.assert_allclose(logits, y @ model.params["Why"] + model.params["by"], rtol=0, atol=1e-13)
    for name, value in last.items():
        np.testing.assert_array_equal(model_last[name], value)


def test_gradient_of_a_language_model_leaves_buffers_alone():
    model = LanguageModel("abcde", Rich, H, dtype="float64")
    before = model.buffers["l0.A"].copy()
    tokens = np.random.default_rng(0).integers(5, size=(T + 1, B))
    loss, _ = model.loss_and_grad(tokens[:-1], tokens[1:])
    direction = np.random.default_rng(1).normal(size=model.theta.size)
    slope, theta = float(model.grad @ direction), model.theta.copy()
    sides = []
    for step in (1e-6, -1e-6):
        model.theta = theta + step * direction
        sides.append(model.loss(tokens[:-1], tokens[1:])[0])
    assert slope == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-8)
    assert model.loss(tokens[:-1], tokens[1:])[0] != loss
    np.testing.assert_array_equal(model.buffers["l0.A"], before)


def test_initial_values_instead_of_a_draw():
    model = LanguageModel("abcde", Rich, H, seed=1)
    values = {**model.params, **model.buffers}
    initialized = LanguageModel("abcde", Rich, H, seed=2, initial=values)
    np.testing.assert_array_equal(initialized.theta, model.theta)
    np.testing.assert_array_equal(initialized.buffers["l0.A"], model.buffers["l0.A"])
    short = {name.removeprefix("l0."): value for name, value in values.items()}
    np.testing.assert_array_equal(LanguageModel("abcde", Rich, H, initial=short).theta, model.theta)
    del values["l0.A"]
    for wrong in (values, {**model.params, **model.buffers, "l0.B": 0}):
        with pytest.raises(UsageError, match=r"language model: initial has the names .*; expected .*'l0.A'"):
            LanguageModel("abcde", Rich, H, initial=wrong)
