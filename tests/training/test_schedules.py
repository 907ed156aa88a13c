"""Learning-rate schedules and gradient clipping."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import UnknownNameError, UsageError
from zoo.training.clipping import Clip, clip_norm, clip_value, global_norm
from zoo.training.schedules import (
    SCHEDULES,
    Cosine,
    Plateau,
    Schedule,
    StepDecay,
    depends_on_steps,
    make_schedule,
    schedule_of_run,
)

LOSSES = st.lists(st.floats(0.0, 10.0) | st.just(math.nan) | st.just(math.inf), max_size=60)
SHARES = st.floats(0.0, 1.0)
GAMMAS = st.floats(0.05, 1.0)
WARMUPS = st.integers(0, 50)
ANY_SCHEDULE = st.one_of(
    st.builds(SCHEDULES["constant"], warmup=WARMUPS),
    st.builds(StepDecay, warmup=WARMUPS, period=st.integers(1, 40), gamma=GAMMAS),
    st.builds(Cosine, warmup=WARMUPS, total=st.integers(51, 300), floor=SHARES),
    st.builds(Plateau, warmup=WARMUPS, patience=st.integers(1, 5), gamma=GAMMAS, floor=SHARES),
)


def factors(schedule: Schedule, steps: int) -> list[float]:
    """The factors of updates 1 to ``steps`` when nothing is observed."""
    return [schedule.factor(schedule.init(), step) for step in range(1, steps + 1)]


# Schedules


@given(ANY_SCHEDULE, LOSSES, st.integers(1, 400))
def test_factor_is_between_zero_and_one(schedule: Schedule, losses: list[float], step: int) -> None:
    state = schedule.init()
    for loss in losses:
        state = schedule.observe(state, loss)
    assert 0.0 <= schedule.factor(state, step) <= 1.0


@given(ANY_SCHEDULE)
def test_warmup_is_linear_and_factor_never_rises_after(schedule: Schedule) -> None:
    values = factors(schedule, 350)
    for step in range(1, schedule.warmup + 1):
        full = schedule.after_warmup(schedule.init(), step)
        assert values[step - 1] == pytest.approx(full * step / schedule.warmup, rel=1e-12)
    cold = values[schedule.warmup :]
    assert all(later <= sooner for sooner, later in pairwise(cold))


@given(ANY_SCHEDULE, LOSSES, st.integers(0, 60))
def test_state_survives_json(schedule: Schedule, losses: list[float], cut: int) -> None:
    whole = schedule.init()
    for loss in losses:
        whole = schedule.observe(whole, loss)
    state = schedule.init()
    for number, loss in enumerate(losses):
        if number == cut:
            state = schedule.restore(json.loads(json.dumps(state, allow_nan=False)))
        before = dict(state)
        after = schedule.observe(state, loss)
        assert state == before, "observe wrote to the state it was given"
        state = after
    assert state == whole
    assert schedule.factor(state, 99) == schedule.factor(whole, 99)


def test_constant_is_one() -> None:
    assert factors(make_schedule("constant"), 5) == [1.0] * 5
    assert factors(make_schedule("constant", warmup=4), 6) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_step_decays_after_each_period() -> None:
    assert factors(make_schedule("step", period=3, gamma=0.5), 8) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


@given(WARMUPS, st.integers(51, 300), SHARES)
def test_cosine_falls_from_one_to_floor(warmup: int, total: int, floor: float) -> None:
    schedule = Cosine(warmup=warmup, total=total, floor=floor)
    values = dict(enumerate(factors(schedule, total + 10), start=1))
    if warmup:
        assert values[warmup] == 1.0
    for step in range(total, total + 11):
        assert values[step] == pytest.approx(floor, abs=1e-15)
    if (total - warmup) % 2 == 0:
        assert values[(total + warmup) // 2] == pytest.approx((1 + floor) / 2, abs=1e-12)
    assert all(values[step] > values[step + 1] for step in range(max(warmup, 1), total)) or floor > 0.99


@pytest.mark.parametrize(
    ("losses", "drops"),
    [
        ([3.0, 2.0, 1.0], 0),
        ([1.0, 2.0], 0),
        ([1.0, 2.0, 2.0], 1),  # patience of two: the second without improvement drops
        ([1.0, 1.0, 1.0], 1),  # as good is not better
        ([1.0, 2.0, 0.5, 2.0], 0),
        ([1.0, 2.0, 2.0, 2.0], 1),  # the count begins anew
        ([1.0, 2.0, 2.0, 2.0, 2.0], 2),
        ([1.0, math.nan, math.inf, 0.5], 1),
        ([math.nan, math.nan], 1),
        ([math.inf, 1.0, 2.0], 0),
    ],
)
def test_plateau_counts_validations(losses: list[float], drops: int) -> None:
    schedule = make_schedule("plateau", patience=2, gamma=0.5, floor=0.3)
    state = schedule.init()
    for loss in losses:
        state = schedule.observe(state, loss)
    assert state["drops"] == drops
    assert schedule.factor(state, 1) == max(0.5**drops, 0.3)


@pytest.mark.parametrize(
    ("name", "given_settings", "words"),
    [
        ("step", {}, "schedule 'step' needs 'period'; give it"),
        ("cosine", {"totl": 10}, "has no setting 'totl'; it has warmup, total, floor. Did you mean 'total'?"),
        ("constant", {"warmup": -1}, "schedule 'constant': warmup is -1; expected an integer of at least 0"),
        ("constant", {"warmup": 1.5}, "warmup is 1.5"),
        ("constant", {"warmup": True}, "warmup is True"),
        ("step", {"period": 0}, "period is 0; expected an integer of at least 1"),
        ("step", {"period": 5, "gamma": 0.0}, "gamma is 0.0; expected a number above 0 to 1"),
        ("step", {"period": 5, "gamma": "0.1"}, "gamma is '0.1'"),
        ("step", {"period": 5, "gamma": math.nan}, "gamma is nan"),
        ("cosine", {"total": 10, "floor": 1.1}, "floor is 1.1; expected a number from 0 to 1"),
        ("cosine", {"total": 10, "warmup": 10}, "warmup is 10 and total is 10; warm up in fewer updates"),
        ("plateau", {"patience": 0}, "patience is 0"),
    ],
)
def test_invalid_setting_raises(name: str, given_settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_schedule(name, **given_settings)
    assert words in str(caught.value)


def test_unknown_schedule_suggests_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown schedule 'cosin'; the schedules are .*\. Did you mean 'cosine'\?"
    ):
        make_schedule("cosin")


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        {"best": None, "waited": 0},
        {"best": None, "waited": 0, "drops": 0, "more": 0},
        {"best": None, "waited": 0, "drops": -1},
        {"best": None, "waited": 0, "drops": 10**400},
        {"best": None, "waited": 0.5, "drops": 0},
        {"best": None, "waited": True, "drops": 0},
        {"best": "1", "waited": 0, "drops": 0},
        {"best": math.nan, "waited": 0, "drops": 0},
        {"best": 10**400, "waited": 0, "drops": 0},
    ],
)
def test_invalid_stored_state_raises(stored: object) -> None:
    with pytest.raises(UsageError, match="schedule 'plateau': the stored state is"):
        make_schedule("plateau").restore(stored)
    if stored != {}:
        with pytest.raises(UsageError, match="schedule 'constant': the stored state is"):
            make_schedule("constant").restore(stored)


# Clipping

COMPILES = settings(deadline=None)
SIZES = st.integers(1, 70)
SEEDS = st.integers(0, 2**32 - 1)  # normal numbers: their squares neither overflow nor vanish
LIMITS = st.floats(0.01, 20.0)
DTYPES = st.sampled_from(["float32", "float64"])


def gradient(size: int, seed: int, dtype: str) -> np.ndarray:
    """A gradient of ordinary numbers."""
    return np.random.default_rng(seed).normal(size=size).astype(dtype)


@COMPILES
@given(SIZES, SEEDS, DTYPES, LIMITS)
def test_clip_norm_scales_long_gradients_only(size: int, seed: int, dtype: str, limit: float) -> None:
    grad = gradient(size, seed, dtype)
    before = grad.tobytes()
    new, norm, clipped, left = Clip(norm=limit).apply(grad)
    exact = float(np.linalg.norm(grad.astype(np.float64)))
    assert norm == pytest.approx(exact, rel=1e-12)
    assert clipped == (norm > limit)
    rounding = 1e-6 if dtype == "float32" else 1e-14
    assert global_norm(new) == pytest.approx(min(exact, limit), rel=rounding)
    assert left == pytest.approx(min(exact, limit), rel=1e-12)
    np.testing.assert_allclose(new, grad * min(1.0, limit / exact), rtol=rounding * 2, err_msg="direction")
    assert new.dtype == grad.dtype
    assert clipped or new.tobytes() == before
    assert grad.tobytes() == before


@COMPILES
@given(SIZES, SEEDS, DTYPES, LIMITS)
def test_clip_value_clips_elements(size: int, seed: int, dtype: str, limit: float) -> None:
    grad = gradient(size, seed, dtype)
    new, norm, clipped, left = Clip(value=limit).apply(grad)
    top = np.dtype(dtype).type(limit)
    assert new.tobytes() == np.clip(grad, -top, top).tobytes()
    assert clipped == bool((np.abs(grad) > top).any())
    assert (norm, left) == (global_norm(grad), global_norm(new))


def test_both_limits_hold_and_reported_norm_is_unclipped() -> None:
    new, norm, clipped, left = Clip(norm=1.0, value=3.0).apply(np.array([30.0, 4.0, 0.0]))
    np.testing.assert_allclose(new, [math.sqrt(0.5), math.sqrt(0.5), 0.0], rtol=1e-15)
    assert norm == pytest.approx(math.hypot(30, 4), rel=1e-15)
    assert (clipped, left) == (True, 1.0)
    assert Clip(norm=100.0, value=30.0).apply(np.array([30.0, 4.0]))[2] is False, (
        "at the limit is not beyond it"
    )


def test_no_limit_returns_the_gradient_itself() -> None:
    grad = np.array([1e300, -5.0, 0.0])
    new, norm, clipped, left = Clip().apply(grad)
    assert new.tobytes() == grad.tobytes()
    assert norm == left == 1e300
    assert not clipped


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "clip", [Clip(), Clip(norm=1.0), Clip(value=1.0), Clip(norm=1.0, value=1.0)], ids=repr
)
def test_clipping_keeps_nan(clip: Clip, dtype: str) -> None:
    new, norm, *_ = clip.apply(np.array([5.0, np.nan, 0.1], dtype))
    assert math.isnan(norm), f"norm: found {norm}, expected NaN"
    assert np.isnan(new[1]), f"found {new}, expected NaN in the middle"
    norm = clip.apply(np.array([np.inf, np.nan], dtype))[1]
    assert math.isnan(norm), f"norm of infinity and NaN: found {norm}, expected NaN"


@pytest.mark.filterwarnings(
    "ignore:invalid value:RuntimeWarning"
)  # from plain Python, not from compiled code
def test_clipping_reports_infinity() -> None:
    new, norm, clipped = clip_norm(np.array([np.inf, 1.0], np.float32), 1.0)
    assert norm == math.inf
    assert clipped
    assert np.isnan(new[0]), f"found {new}, expected NaN first"
    assert clip_value(np.array([-np.inf, 1.0]), 2.0)[0].tolist() == [-2.0, 1.0]


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e38), ("float64", 1e200), ("float64", 1e-200)])
def test_norm_survives_overflowing_squares(dtype: str, size: float) -> None:
    grad = np.array([3 * size / 5, 4 * size / 5], dtype)
    new, norm, clipped, _ = Clip(norm=1.0).apply(grad)
    if size > 1:
        assert norm == pytest.approx(size, rel=1e-6)
        np.testing.assert_allclose(new, [0.6, 0.8], rtol=1e-6)
    assert clipped == (size > 1)


def test_norm_is_summed_in_float64() -> None:
    grad = np.full(1_000_001, 1e-4, np.float32)
    grad[0] = 1.0
    assert global_norm(grad) == pytest.approx(math.sqrt(1.01), rel=1e-7)


@pytest.mark.parametrize("limit", [0, 0.0, -1.0, math.inf, math.nan, True, "1"])
@pytest.mark.parametrize("name", ["norm", "value"])
def test_invalid_limit_raises(name: str, limit: Any) -> None:
    with pytest.raises(
        UsageError, match=f"clipping: {name} is .*; expected a positive finite number, or None"
    ):
        Clip(**{name: limit})


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("cosine", {"warmup": 0.25}, Cosine(warmup=10, total=40)),
        ("cosine", {"warmup": 0.99}, Cosine(warmup=39, total=40)),
        ("cosine", {"warmup": 0.01}, Cosine(total=40)),
        ("cosine", {"warmup": 3, "total": 9}, Cosine(warmup=3, total=9)),
        ("constant", {"warmup": 0.5}, SCHEDULES["constant"](warmup=20)),
        ("step", {"period": 3}, StepDecay(period=3)),
    ],
)
def test_schedule_of_a_run_may_be_relative_to_its_length(name, settings, expected) -> None:
    assert schedule_of_run(name, settings, 40) == expected
    assert depends_on_steps(name, settings) == (schedule_of_run(name, settings, 80) != expected)
    short = schedule_of_run(name, settings, 1)
    assert all(0 <= short.factor(short.init(), step) <= 1 for step in (1, 2))


@pytest.mark.parametrize("warmup", [1.0, -0.5, float("nan"), True, "0.1"])
def test_share_of_warmup_is_between_0_and_1(warmup) -> None:
    with pytest.raises(UsageError, match=r"warmup is .*; expected an integer of at least 0"):
        schedule_of_run("constant", {"warmup": warmup}, 100)
