"""The shipped optimizers against PyTorch and the laws, and the laws against broken optimizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numba
import numpy as np
import pytest
from zoo_optimizers import adagrad, adam, adamax, adamw, lion, nadam, rmsprop, sgd

import zoo
from zoo.testing import optimizers as laws

MODULES = (adagrad, adam, adamax, adamw, lion, nadam, rmsprop, sgd)


def offered(module: Any) -> type[zoo.Optimizer]:
    """The one optimizer that a module's hook registers."""
    results: list[type[zoo.Optimizer]] = []
    module.zoo_register_optimizers(register=results.append)
    assert len(results) == 1
    return results[0]


SHIPPED = {optimizer.name: optimizer for optimizer in map(offered, MODULES)}
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "optimizers.npz")
CASES = json.loads(str(GOLDEN["cases"]))


# Golden values


@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"),
    # theta passes through zero, hence atol: a hundred roundings in float64, some steps of rounding in float32
    [("float64", 1e-12, 2e-14), ("float32", 1e-5, 3e-5)],
)
@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{name}-{options}" for name, options in CASES])
def test_follows_the_golden_trajectory(case: int, dtype: str, rtol: float, atol: float) -> None:
    name, options = CASES[case]
    optimizer = SHIPPED[name](**options)
    theta = GOLDEN["start"].astype(dtype)
    slots, path = optimizer.init(theta), []
    for step, grad in enumerate(GOLDEN["grads"].astype(dtype), start=1):
        theta, slots = optimizer.apply(theta, grad, slots, step)
        path.append(theta)
    result = np.array(path)[int(GOLDEN["every"]) - 1 :: int(GOLDEN["every"])]
    np.testing.assert_allclose(result, GOLDEN["theta"][case], rtol, atol, err_msg=f"{optimizer!r}")


def test_golden_values_cover_every_shipped_optimizer() -> None:
    assert {name for name, _ in CASES} == set(SHIPPED)
    assert len(GOLDEN["grads"]) >= 200
    assert (GOLDEN["grads"] == 0).all(axis=1).any(), "some update must have no gradient at all"


# Laws


class Sound(zoo.Optimizer, abstract=True):
    """Base class of the broken optimizers below, with a valid card, learning rate and slot."""

    card = zoo.Card(
        title="A test", authors="Nobody", year=2024, url="https://example.org", variant="heavy ball"
    )
    lr = zoo.Option(0.1, help="learning rate", low=0.0)
    memory = zoo.StateSlot(help="decaying sum of gradients")


def broken(kernel: Any, **attributes: Any) -> zoo.Optimizer:
    """An optimizer that differs from a sound one by its kernel, or by some attributes."""
    return type(kernel.__name__, (Sound,), {"__doc__": kernel.__name__, "update": kernel, **attributes})()


@zoo.njit
def descend(theta, grad, slots, rate):
    new, memory = np.empty_like(theta), np.empty_like(theta)
    for i in range(theta.size):
        memory[i] = slots[0][i] + grad[i]
        new[i] = theta[i] - theta.dtype.type(rate) * grad[i]
    return new, (memory,)


@zoo.njit
def sound(theta, grad, slots, step, lr):
    return descend(theta, grad, slots, lr)


@zoo.njit
def promotes(theta, grad, slots, step, lr):
    wide = np.zeros(theta.size)
    for i in range(theta.size):
        wide[i] = theta[i] - lr * grad[i]
    return wide, (slots[0],)


@zoo.njit
def writes(theta, grad, slots, step, lr):
    for i in range(theta.size):
        slots[0][i] += grad[i]
    return descend(theta, grad, slots, lr)[0], (slots[0],)


@zoo.njit
def gambles(theta, grad, slots, step, lr):
    return descend(theta, grad, slots, lr * np.random.random())  # noqa: NPY002 - what Numba compiles


@zoo.njit
def overflows(theta, grad, slots, step, lr):
    return descend(theta, grad, slots, lr / (1.0 + step * 4611686018427387904 * 4))  # 2^64: 0 in int64


@zoo.njit
def ignores_lr(theta, grad, slots, step, lr):
    return descend(theta, grad, slots, 0.1)


@zoo.njit
def normalizes(theta, grad, slots, step, lr):
    total = 0.0
    for i in range(theta.size):
        total += abs(grad[i])
    return descend(theta, grad, slots, lr / total)


@zoo.njit
def hides_nan(theta, grad, slots, step, lr):
    healthy = grad.copy()
    for i in range(theta.size):
        if np.isnan(grad[i]):
            healthy[i] = 0.0
    return descend(theta, healthy, slots, lr)


@zoo.njit
def climbs(theta, grad, slots, step, lr):
    return descend(theta, grad, slots, -lr)


@zoo.njit
def needs_two(theta, grad, slots, step, lr):
    return descend(theta, grad, slots, lr if theta.size > 1 else np.nan)


@zoo.njit
def lacks_eps(theta, grad, slots, step, lr):
    new, memory = descend(theta, grad, slots, lr)
    for i in range(theta.size):
        new[i] = theta[i] - theta.dtype.type(lr) * grad[i] / abs(grad[i])
    return new, memory


@zoo.njit
def strides(theta, grad, slots, step, lr):
    wide = np.zeros(2 * theta.size, theta.dtype)
    return descend(theta, grad, slots, lr)[0], (wide[::2],)


def adam_formula(theta, grad, slots, step, lr, beta1, beta2, eps, weight_decay, amsgrad):
    """PyTorch's algorithm of torch.optim.Adam, line by line."""
    m, v, top = slots
    grad = grad + weight_decay * theta
    m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2
    top = np.maximum(top, v)
    root = np.sqrt((top if amsgrad else v) / (1 - beta2**step))
    return theta - lr * m / (1 - beta1**step) / (root + eps), (m, v, top)


class Uncorrected(adam.Adam, abstract=True):
    """Adam without the second bias correction, and the formula that it should follow."""

    reference = staticmethod(adam_formula)

    def apply(self, theta, grad, slots, step, lr=None):
        """Scale what Adam moves."""
        new, moved = super().apply(theta, grad, slots, step, lr)
        return theta + (new - theta) / np.sqrt(1 - self.options["beta2"] ** step), moved


class Corrected(adam.Adam, abstract=True):
    """Adam, and its formula."""

    reference = staticmethod(adam_formula)


class Counts(Sound):
    """Remembers outside of its slots."""

    update = sound
    calls = 0

    def apply(self, theta, grad, slots, step, lr=None):
        """Decay the learning rate by a count of its own."""
        self.calls += 1
        return super().apply(
            theta, grad, slots, step, (self.options["lr"] if lr is None else lr) / self.calls
        )


BROKEN: list[tuple[zoo.Optimizer, Callable[[zoo.Optimizer], None], str]] = [
    (broken(promotes), laws.check_shapes_and_dtypes, "update returned (float64(1,), (float32(1,),))"),
    (broken(writes), laws.check_inputs_unchanged, "wrote to ['memory'], expected unchanged arguments"),
    (broken(gambles), laws.check_deterministic, "['theta'] differ between two runs"),
    (Uncorrected(), laws.check_reference, "theta after 20 updates, by its reference"),
    (broken(ignores_lr), laws.check_zero_rate, "expected 0"),
    (Counts(), laws.check_split_run, "expected equal bits"),
    (broken(normalizes), laws.check_elementwise, "theta of"),
    (broken(sound, scale_free=True), laws.check_scale_free, "expected less than 0.01"),
    (
        broken(hides_nan),
        laws.check_nan_gradient,
        "a NaN gradient of parameter 0 in float32: found [], expected 0",
    ),
    (broken(climbs), laws.check_downhill, "expected less than 0.02"),
    (broken(needs_two), laws.check_single_parameter, "found [nan], expected another finite number"),
    (broken(lacks_eps), laws.check_extreme_gradients, "theta after gradients of [0.0]"),
    (broken(strides), laws.check_compiles_once, "memory with strides (8,)"),
    (broken(sound, lr=zoo.Option(0.1, low=0.0)), laws.check_card, "found ['lr'] without help"),
]


@pytest.mark.parametrize(
    ("culprit", "check", "words"), BROKEN, ids=[check.__name__ for _, check, _ in BROKEN]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # plain Python warns where compiled code does not
def test_broken_optimizer_is_caught_by_name(culprit: zoo.Optimizer, check: Any, words: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check(culprit)
    assert str(caught.value).startswith(f"optimizer {culprit.name!r}: ")
    assert words in str(caught.value)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_check_catches_differing_compiled_code() -> None:
    with pytest.raises(AssertionError, match="'overflows': theta compiled, against plain Python: found"):
        laws.check_jit_equals_python(broken(overflows))


@pytest.mark.parametrize("options", [{}, {"amsgrad": True, "weight_decay": 0.1}], ids=str)
def test_check_compares_optimizer_with_numpy_formula(options: dict[str, Any]) -> None:
    laws.check_reference(Corrected(**options))


@pytest.mark.parametrize("optimizer", SHIPPED.values(), ids=SHIPPED)
def test_shipped_optimizer_declares_scale_free_where_it_is(optimizer: type[zoo.Optimizer]) -> None:
    declared = type(optimizer.name, (optimizer,), {"scale_free": True, "__doc__": "Declared."})()
    if optimizer.scale_free:
        laws.check_scale_free(declared)
    else:
        with pytest.raises(AssertionError, match="relative difference"):
            laws.check_scale_free(declared)


@pytest.mark.parametrize("name", ["scale_free", "elementwise"])
@pytest.mark.parametrize("value", ["no", 1, None])
def test_declaration_of_updates_is_a_boolean(name: str, value: Any) -> None:
    with pytest.raises(zoo.DefinitionError, match=f"{name} is {value!r}; expected True or False"):
        broken(sound, **{name: value})


def plain(theta, grad, slots, step, lr):
    return theta - theta.dtype.type(lr) * grad, (slots[0] + grad,)


@pytest.mark.parametrize("check", laws.OPTIMIZER_CHECKS, ids=lambda check: check.__name__)
def test_laws_of_compiled_kernels_are_skipped_for_a_python_function(check: Any) -> None:
    advice = "update runs as plain Python; write @zoo.njit above its definition to compile it"
    skipped = {"check_jit_equals_python": advice, "check_compiles_once": advice}
    skipped |= {"check_reference": "the class has", "check_scale_free": "the class declares"}
    is_skipped = check.__name__ in skipped
    with pytest.raises(SkipTest, match=skipped[check.__name__]) if is_skipped else nullcontext():
        check(broken(plain))


def test_law_is_skipped_if_class_declares_exception() -> None:
    with pytest.raises(SkipTest, match="elementwise = False"):
        laws.check_elementwise(broken(normalizes, elementwise=False))


SUBJECTS = [
    *(optimizer() for optimizer in SHIPPED.values()),
    sgd.SGD(momentum=0.9, nesterov=True, weight_decay=0.1),
    rmsprop.RMSprop(centered=True, momentum=0.5, weight_decay=0.1),
    adam.Adam(amsgrad=True, weight_decay=0.1),
    broken(sound),
]


@pytest.mark.parametrize(
    "check",
    # Golden values are the reference of those that ship.
    [check for check in laws.OPTIMIZER_CHECKS if check is not laws.check_reference],
    ids=lambda check: check.__name__,
)
@pytest.mark.parametrize("optimizer", SUBJECTS, ids=repr)
def test_obeys_the_law(optimizer: zoo.Optimizer, check: Callable[[zoo.Optimizer], None]) -> None:
    check(optimizer)


def test_every_law_is_one_line_and_has_a_broken_optimizer() -> None:
    assert all((check.__doc__ or "").count("\n") == 0 for check in laws.OPTIMIZER_CHECKS)
    caught = {check.__name__ for _, check, _ in BROKEN} | {"check_jit_equals_python"}
    assert caught == {check.__name__ for check in laws.OPTIMIZER_CHECKS}


# Options and the contract


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_is_named_as_its_file(module: Any) -> None:
    assert offered(module).name == module.__name__.rpartition(".")[2]


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "adamax", "lion"])
def test_beta_of_one_raises(name: str) -> None:
    with pytest.raises(
        zoo.UsageError, match=r"'beta2' is 1\.0; expected a finite number at least 0 and below 1"
    ):
        SHIPPED[name](beta2=1.0)
    assert SHIPPED[name](beta2=0).options["beta2"] == 0.0


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_without_momentum_raises(options: dict[str, float]) -> None:
    with pytest.raises(zoo.UsageError, match="nesterov with momentum"):
        sgd.SGD(nesterov=True, **options)


def test_given_step_size_overrides_option() -> None:
    theta, grad = np.linspace(-1, 1, 5), np.linspace(1, 2, 5)
    given = adam.Adam().apply(theta, grad, adam.Adam().init(theta), 1, lr=0.25)[0]
    chosen = adam.Adam(lr=0.25).apply(theta, grad, adam.Adam().init(theta), 1)[0]
    assert given.tobytes() == chosen.tobytes()


ZEROS = np.zeros(3)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"theta": np.zeros((3, 1))}, "flat vectors of one length"),
        ({"grad": np.zeros(4)}, r"gradient float64\(4,\)"),
        ({"grad": np.zeros(3, np.float32)}, "both float32 or both float64"),
        ({"theta": np.zeros(3, int), "grad": np.zeros(3, int)}, "both float32 or both float64"),
        ({"slots": {}}, r"slots {} do not fit; expected {'m': 'float64\(3,\)'}"),
        ({"slots": {"m": np.zeros(3, np.float32)}}, r"float32\(3,\)"),
        ({"slots": {"m": np.zeros(2)}}, "do not fit"),
        ({"step": 0}, "step is 0; updates are numbered from 1"),
        ({"lr": -0.1}, "lr is -0.1; expected a finite number, at least 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": float("inf")}, "lr is inf"),
    ],
)
def test_mismatched_call_raises(changed: dict[str, Any], words: str) -> None:
    call: dict[str, Any] = {"theta": ZEROS, "grad": ZEROS, "slots": {"m": ZEROS}, "step": 1} | changed
    with pytest.raises(zoo.UsageError, match=words):
        lion.Lion().apply(**call)


F32 = np.zeros(3, np.float32)
INVALID_UPDATES = {
    "None": None,
    "float32(3,)": F32,
    "(float32(3,), ())": (F32, ()),
    "(float32(3,), (float32(3,), float32(3,)))": (F32, (F32, F32)),
    "(float64(3,), (float32(3,),))": (F32.astype(float), (F32,)),
    "(float32(3,), (float64(3,),))": (F32, (F32.astype(float),)),
    "(float32(1,), (float32(3,),))": (F32[:1], (F32,)),  # would be broadcast
    "(float32(3,), (float32(6,),))": (F32, (np.zeros(6, np.float32),)),
    "(float32(3,), (0.0,))": (F32, (0.0,)),
    "(float32(3, 1), (float32(3,),))": (F32[:, None], (F32,)),
}


@pytest.mark.parametrize("returned", INVALID_UPDATES)
@pytest.mark.parametrize("method", ["apply", "apply_in_place"])
def test_update_that_returns_other_arrays_is_named_in_error(method: str, returned: str) -> None:
    def wrong(theta, grad, slots, step, lr):
        return INVALID_UPDATES[returned]

    optimizer = broken(wrong)
    theta = F32.copy()
    slots = optimizer.init(theta)
    with pytest.raises(zoo.DefinitionError) as raised:
        getattr(optimizer, method)(theta, F32, slots, 1)
    sentence = str(raised.value)
    assert sentence.startswith("optimizer class wrong (")
    assert f"update returned {returned}; expected (float32(3,), (float32(3,),)), the parameters" in sentence
    assert ("write theta.dtype.type(lr)" in sentence) == ("float64" in returned)
    assert not theta.any()
    assert set(slots) == {"memory"}
    assert not slots["memory"].any()


def test_centered_rmsprop_survives_a_variance_rounded_below_zero() -> None:
    theta, grad = np.ones(5), np.full(5, 0.5)
    slots = {"squares": np.full(5, 0.25 - 1e-9), "mean": np.full(5, 0.5), "velocity": np.zeros(5)}
    theta, slots = rmsprop.RMSprop(centered=True).apply(theta, grad, slots, 100)
    assert (slots["squares"] < slots["mean"] ** 2).all(), "the case does not occur"
    assert np.isfinite(theta).all()
