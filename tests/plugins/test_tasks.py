"""The tasks that ship: their laws, their answers worked out again by hand, and tasks that break the laws."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo
from zoo.cli.app import cli
from zoo.errors import DataError, UsageError
from zoo.testing import TASK_CHECKS, check_task, run_checks
from zoo.testing.report import law_of, name_of

PARTS = ("train", "valid", "test")
NEEDS = {"digits": "sklearn", "permuted_digits": "sklearn"}
SHIPPED = [
    zoo.get_task(name) for name in zoo.list_tasks()
]  # once: the text is read when it is first asked for


# In the laws, since answers are as long as the sequences.
SHORTER = {
    *("binary_addition", "binary_multiplication", "bracketed_arithmetic", "bucket_sort", "compute_sqrt"),
    "duplicate_string",
    *("missing_duplicate", "odds_first", "reverse_string", "solve_equation", "stack_manipulation"),
}


@zoo.testing.parametrize_tasks(
    *(zoo.get_task(task.name, tested=100) if task.name in SHORTER else task for task in SHIPPED)
)
def test_law(task, check):
    if task.name in NEEDS:
        pytest.importorskip(NEEDS[task.name])
    check(task)


def example(batch, row):
    """Inputs, targets and weights of one example, as lists."""
    return [array[:, row].tolist() for array in batch[:3]]


def examples(name, part="test", size=20, index=0, **options):
    task = zoo.get_task(name, **options)
    batch = task.batch(index, size, 3, part)
    return task, [example(batch, row) for row in range(size)]


# ---- memory -------------------------------------------------------------------------------------------


def test_copying():
    _, drawn = examples("copying", delay=7, length=4)
    for inputs, targets, weights in drawn:
        said = inputs[:4]
        assert all(symbol < 8 for symbol in said)
        assert inputs[4:] == [8] * 6 + [9] + [8] * 4
        assert weights == [0] * 11 + [1] * 4
        assert targets[11:] == said


def test_adding():
    _, drawn = examples("adding", length=11)
    for inputs, targets, weights in drawn:
        numbers, marks = zip(*inputs, strict=True)
        assert sorted(marks) == [0] * 9 + [1] * 2
        assert sum(marks[:5]) == sum(marks[5:]) == 1
        assert weights == [0] * 10 + [1]
        assert targets[-1][0] == pytest.approx(sum(n for n, mark in inputs if mark))
        assert 0 <= min(numbers) <= max(numbers) < 1


def test_selective_copying():
    _, drawn = examples("selective_copying", length=12, count=3)
    places = set()
    for inputs, targets, weights in drawn:
        data_tokens = [(place, token) for place, token in enumerate(inputs[:12]) if token != 14]
        places |= {place for place, _ in data_tokens}
        assert inputs[12:] == [15] * 3
        assert weights == [0] * 12 + [1] * 3
        assert targets[12:] == [token for _, token in data_tokens]
    assert places == set(range(12))
    with pytest.raises(UsageError, match="count=5, length=4; expected no more symbols than steps"):
        zoo.get_task("selective_copying", length=4, count=5).batch(0, 2)


def test_associative_recall():
    _, drawn = examples("associative_recall", tokens=20, pairs=3, length=30)
    gaps = Counter()
    for inputs, targets, weights in drawn:
        pairs = dict(zip(inputs[0:6:2], inputs[1:6:2], strict=True))
        assert len(pairs) == 3
        assert all(key < 10 <= value for key, value in pairs.items())
        queries = [place for place, weight in enumerate(weights) if weight]
        assert sorted(inputs[place] for place in queries) == sorted(pairs)
        assert all(place >= 6 and place % 2 == 0 for place in queries)
        assert all(pairs[inputs[place]] == 10 + targets[place] for place in queries)
        gaps.update(queries)
    assert gaps[6] > gaps[28]  # near ones are more probable
    with pytest.raises(UsageError, match="expected at least two tokens and four steps for each pair"):
        zoo.get_task("associative_recall", pairs=9, length=32).batch(0, 2)


def test_associative_recall_without_random_tokens():
    options = {"tokens": 8, "pairs": 3, "length": 16, "random_tokens": False}
    _, drawn = examples("associative_recall", **options)
    keys = set()
    for inputs, targets, weights in drawn:
        pairs = dict(zip(inputs[0:6:2], inputs[1:6:2], strict=True))
        keys |= set(pairs)
        queries = [index for index, weight in enumerate(weights) if weight]
        assert all(pairs[inputs[index]] == 4 + targets[index] for index in queries)
        assert all(inputs[index] == 0 for index in set(range(6, 16)) - set(queries))
    assert keys == {1, 2, 3}
    with pytest.raises(UsageError, match="and two more tokens with random_tokens=False"):
        zoo.get_task("associative_recall", **{**options, "pairs": 4}).batch(0, 2)


def test_induction_heads():
    _, drawn = examples("induction_heads", length=9, tokens=5)
    places = set()
    for inputs, targets, weights in drawn:
        first = inputs.index(4)
        places.add(first)
        assert [place for place, token in enumerate(inputs) if token == 4] == [first, 9]
        assert weights == [0] * 9 + [1]
        assert targets[-1] == inputs[first + 1]
    assert places == set(range(8))


# ---- automata -----------------------------------------------------------------------------------------


def lengths(name, part, after=1, **options):
    task = zoo.get_task(name, **options)
    return [len(task.batch(index, 2, 0, part).inputs) - after for index in range(60)]


def test_word_problem_is_longer_in_the_test():
    assert set(lengths("word_problem", "train", after=0)) <= set(range(1, 21))
    assert set(lengths("word_problem", "test", after=0)) <= set(range(21, 101))


@pytest.mark.parametrize("name", ["parity", "cycle", "modular_arithmetic"])
def test_training_is_short_and_the_test_is_long(name):
    short, long = lengths(name, "train"), lengths(name, "test")
    assert set(short) <= set(range(1, 41))
    assert max(short) > 35
    assert min(short) < 5
    assert set(long) <= set(range(41, 501))
    assert max(long) > 450
    assert min(long) < 90
    assert set(lengths(name, "test", longest=3, tested=5)) <= {4, 5}
    with pytest.raises(UsageError, match=f"task '{name}': longest=40, tested=40; the shortest"):
        zoo.get_task(name, tested=40).batch(0, 2, 0, "test")


def test_parity():
    _, drawn = examples("parity", "train")
    for inputs, targets, weights in drawn:
        assert inputs[-1] == 2
        assert targets[-1] == inputs[:-1].count(1) % 2
        assert weights == [0] * (len(inputs) - 1) + [1]


def test_cycle():
    _, drawn = examples("cycle", "train", places=7)
    for inputs, targets, _ in drawn:
        assert inputs[-1] == 3
        assert targets[-1] == (inputs.count(2) - inputs.count(0)) % 7


def test_modular_arithmetic():
    for index in range(20):
        _, drawn = examples("modular_arithmetic", "train", size=8, index=index)
        for inputs, targets, _ in drawn:
            assert inputs[-1] == 8
            words = [str(token) if token < 5 else "+-*"[token - 5] for token in inputs[:-1]]
            assert len(words) % 2 == 1
            assert targets[-1] == eval("".join(words)) % 5


@pytest.mark.parametrize(("group", "order", "points"), [("S4", 24, 4), ("A5", 60, 5)])
def test_word_problem(group, order, points):
    """Elements are the permutations of the group in lexicographic order."""
    elements = [
        element
        for element in itertools.permutations(range(points))
        if group[0] == "S" or sum(a > b for a, b in itertools.combinations(element, 2)) % 2 == 0
    ]
    task, drawn = examples("word_problem", "train", size=8, group=group)
    assert len(elements) == task.input_size == task.output_size == order
    for inputs, targets, weights in drawn:
        places = list(range(points))  # of items that every element moves
        for token, target in zip(inputs, targets, strict=True):
            places = [elements[token][place] for place in places]
            assert elements[target] == tuple(places)
        assert weights == [1] * len(inputs)


@pytest.mark.parametrize(
    ("group", "order", "commutes"),
    [("Z2", 2, True), ("Z60", 60, True), ("S3", 6, False), ("S5", 120, False), ("A4xZ5", 60, False)],
)
def test_multiplication_table_is_that_of_a_group(group, order, commutes):
    from zoo_tasks.word_problem import multiplication_table

    table = multiplication_table(group)
    every = np.arange(order)
    assert table.shape == (order, order)
    assert (table[0] == every).all()
    assert (table[:, 0] == every).all()
    assert (np.sort(table, axis=0) == every[:, None]).all()  # so that there are inverses
    assert (np.sort(table, axis=1) == every).all()
    assert (table[table[:, :, None], every] == table[every[:, None, None], table]).all()  # associative
    assert (table == table.T).all() == commutes


def check_answers(name, query, answer, size=12, **options):
    """Compare the answers at the query tokens with a function of the list of tokens before them."""
    task = zoo.get_task(name, **options)
    for part in ("train", "test"):
        for index in range(6):
            batch = task.batch(index, size, 0, part)
            for row in range(size):
                inputs, targets, weights = example(batch, row)
                given = inputs[: inputs.index(query)]
                expected = answer(given)
                assert inputs[len(given) :] == [query] * (len(inputs) - len(given))
                assert targets[len(given) :][: len(expected)] == expected
                assert weights == [0] * len(given) + [1] * len(expected) + [0] * (
                    len(inputs) - len(given) - len(expected)
                )


@pytest.mark.parametrize(
    ("name", "query", "answer"),
    [
        ("even_pairs", 2, lambda bits: [int(bits[0] != bits[-1])]),
        ("reverse_string", 2, lambda bits: bits[::-1]),
        ("duplicate_string", 2, lambda bits: bits * 2),
        (
            "odds_first",
            2,
            lambda bits: (
                [bits[i] for i in range(1, len(bits), 2)] + [bits[i] for i in range(0, len(bits), 2)]
            ),
        ),
        ("bucket_sort", 5, sorted),
    ],
)
def test_strings(name, query, answer):
    check_answers(name, query, answer, longest=9, tested=20)


def test_missing_duplicate():
    def answer(tokens):
        hidden, half = tokens.index(2), len(tokens) // 2
        copy = (hidden + half) % len(tokens)
        assert tokens[:half][: hidden % half] == tokens[half:][: hidden % half]
        assert tokens.count(2) == 1
        return [tokens[copy]]

    check_answers("missing_duplicate", 3, answer, longest=8, tested=20)


def test_stack_manipulation():
    def answer(tokens):
        stack = []
        for token in tokens:
            if token != 2:
                stack.append(token % 3)
            elif stack:
                stack.pop()
        return [*stack[::-1], 2]

    check_answers("stack_manipulation", 5, answer, longest=9, tested=20)


@pytest.mark.parametrize(
    ("name", "operator"), [("binary_addition", int.__add__), ("binary_multiplication", int.__mul__)]
)
def test_binary_arithmetic(name, operator):
    def answer(tokens):
        sign = tokens.index(2)
        first, second = (
            sum(bit << place for place, bit in enumerate(bits))
            for bits in (tokens[:sign], tokens[sign + 1 :])
        )
        result = operator(first, second)
        return [(result >> place) & 1 for place in range(max(result.bit_length(), 1))] + [2]

    check_answers(name, 3, answer, longest=9, tested=20)


def test_bracketed_arithmetic():
    def answer(tokens):
        words = "".join(str(token) if token < 5 else "+-*()"[token - 5] for token in tokens)
        return [eval(words) % 5]

    check_answers("bracketed_arithmetic", 10, answer, longest=9, tested=40)


def test_solve_equation():
    def answer(tokens):
        words = "".join(str(token) if token < 5 else "+-()x="[token - 5] for token in tokens)
        left, right = words.split("=")
        return [number for number in range(5) if eval(left, {"x": number}) % 5 == int(right)]

    check_answers("solve_equation", 11, answer, longest=9, tested=40)


def test_compute_sqrt():
    def answer(bits):
        number, root = sum(bit << place for place, bit in enumerate(reversed(bits))), 0
        while (root + 1) ** 2 <= number:
            root += 1
        return [(root >> place) & 1 for place in reversed(range((len(bits) + 1) // 2))]

    check_answers("compute_sqrt", 2, answer, longest=7, tested=14)


# ---- counting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [1, 3])
def test_dyck(kinds):
    _, drawn = examples("dyck", "train", kinds=kinds, longest=16)
    for inputs, targets, weights in drawn:
        stack = []
        for token, target, weight in zip(inputs, targets, weights, strict=True):
            if token < kinds:
                stack.append(token)
            else:
                assert stack.pop() == token - kinds
            closing = [float(bool(stack) and stack[-1] == kind) for kind in range(kinds)]
            assert target == [1.0] * kinds + closing + [float(not stack)]
            assert weight == 1
        assert not stack


def test_dyck_words_are_drawn_uniformly():
    """There are fourteen words of length eight."""
    task = zoo.get_task("dyck", longest=8, tested=10)
    counts = Counter()
    for index in range(120):
        batch = task.batch(index, 32)
        if len(batch.inputs) == 8:
            counts.update(tuple(column) for column in batch.inputs.T.tolist())
    assert len(counts) == 14
    expected = counts.total() / 14
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 34.5  # chi-square, 0.1 %


@pytest.mark.parametrize("letters", [2, 3])
def test_anbn(letters):
    task = zoo.get_task("anbn", letters=letters, longest=4, tested=9)
    numbers = {part: set() for part in PARTS}
    for part in PARTS:
        for index in range(6):
            batch = task.batch(index, 8, 0, part)
            for row in range(8):
                inputs, targets, weights = example(batch, row)
                n = inputs.count(1)
                numbers[part].add(n)
                word = [0] + [letter for letter in range(1, letters + 1) for _ in range(n)]
                assert inputs[: len(word)] == word
                assert weights == [1] * len(word) + [0] * (len(inputs) - len(word))
                for place, letter in enumerate(word):
                    expected = [0.0] * (letters + 1)
                    after = word[place + 1] if place + 1 < len(word) else 0
                    expected[after] = 1.0
                    if letter == 1:
                        expected[1] = expected[2] = 1.0
                    assert targets[place] == expected
    assert numbers == {"train": {1, 2, 3, 4}, "valid": {5, 7, 9}, "test": {6, 8}}
    with pytest.raises(UsageError, match="longest=10, tested=11; expected a test of n larger by two"):
        zoo.get_task("anbn", tested=11).batch(0, 2)


# ---- forecasting --------------------------------------------------------------------------------------


def test_lorenz():
    """Every state follows from the one before, by the equations and a tenth of the step."""
    batch = zoo.get_task("lorenz", observed="xyz", context=15, times=1).batch(0, 3, 0, "test")
    assert batch.context == 15
    assert not batch.inputs[15:].any()
    assert batch.weights[:15].sum() == 0 < batch.weights[15:].min()
    np.testing.assert_array_equal(batch.inputs[1:15], batch.targets[:14])
    mean, deviation = np.array([0, 0, 23.56]), np.array([7.93, 9.01, 8.61])
    state = batch.targets[:-1] * deviation + mean
    for _ in range(1000):
        x, y, z = np.moveaxis(state, -1, 0)
        velocity = np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=-1)
        state = state + 0.025 / 1000 * velocity
    np.testing.assert_allclose(state, batch.targets[1:] * deviation + mean, atol=0.05)
    alone = zoo.get_task("lorenz", context=15, times=1).batch(0, 3, 0, "test")
    np.testing.assert_array_equal(alone.targets[..., 0], batch.targets[..., 0])
    assert zoo.get_task("lorenz", times=3).score(batch.targets, batch) == 3


def test_mackey_glass():
    task = zoo.get_task("mackey_glass", context=30, length=25)
    values = [0.5 + zoo.TaskRng("tests").uniform(2)[1]] * 171  # of the second series, 17 units of time
    for _ in range(3100):
        delayed = values[-171]
        values.append(values[-1] + 0.1 * (0.2 * delayed / (1 + delayed**10) - 0.1 * values[-1]))
    series = task.trajectories(zoo.TaskRng("tests"), 2, 10)
    np.testing.assert_allclose(0.930 + 0.226 * series[:, 1, 0], values[171 + 3009 :: 10][:10], rtol=1e-6)
    batch = task.batch(0, 3, 0, "test")
    assert batch.inputs.shape == (113, 3, 1)
    assert np.flatnonzero(batch.weights.any(axis=1)).tolist() == [112]  # a target at step 29 is one ahead


@pytest.mark.parametrize("name", ["lorenz", "mackey_glass"])
def test_noise_changes_inputs_of_training_only(name):
    plain, noisy = (zoo.get_task(name, noise=noise) for noise in (0.0, 0.1))
    for part in ("train", "test"):
        first, second = plain.batch(0, 8, 0, part), noisy.batch(0, 8, 0, part)
        np.testing.assert_array_equal(first.targets, second.targets)
        spread = (second.inputs - first.inputs).std()
        assert spread == pytest.approx(0.1 if part == "train" else 0, abs=0.01)
    assert plain.batch(0, 2).weights[:, 0].tolist() == [0] * 20 + [1] * 80


# ---- neuroscience -------------------------------------------------------------------------------------


def test_delayed_match():
    task, drawn = examples("delayed_match", noise=1e-3, delay=4, size=60)
    for inputs, targets, weights in drawn:
        seen = np.array(inputs)
        assert seen[:, 0].tolist() == [1] * 17 + [0] * 9
        sample, test = seen[5, 1:].argmax(), seen[14, 1:].argmax()
        assert seen[5, 1:].max() == pytest.approx(1, abs=0.01)
        assert not seen[[0, 2, 8, 11, 17, 25], 1:].any()
        assert weights == [0] * 17 + [1] * 9
        assert targets[17:] == [int(sample == test)] * 9
    assert 20 < sum(targets[-1] for _, targets, _ in drawn) < 40
    assert task.input_size == 9


def test_evidence():
    _, drawn = examples("evidence", size=200, length=9)
    balances = []
    for inputs, targets, weights in drawn:
        seen = np.array(inputs)
        assert set(seen.ravel()) <= {0, 1}
        assert seen[:, 2].tolist() == [0] * 9 + [1]
        balance = seen[:, 1].sum() - seen[:, 0].sum()
        balances.append(balance)
        assert targets[-1] == int(balance > 0)
        assert weights == [0] * 9 + [1]
    assert 0 not in balances
    assert {-1, 1, 2, -2} <= set(balances)


def test_flip_flop():
    _, drawn = examples("flip_flop", length=12, channels=2, rate=0.3)
    for inputs, targets, weights in drawn:
        state = [0, 0]
        for pulses, target in zip(inputs, targets, strict=True):
            state = [pulse or old for pulse, old in zip(pulses, state, strict=True)]
            assert target == state
        assert weights == [1] * 12
    assert 0.2 < np.mean([pulses[0] != 0 for inputs, *_ in drawn for pulses in inputs[1:]]) < 0.4


def test_ready_set_go():
    task = zoo.get_task("ready_set_go", step=100)
    batch, intervals = task.batch(0, 60), []
    for row in range(60):
        inputs, targets, weights = example(batch, row)
        _, (ready, started) = (
            np.flatnonzero(np.array(inputs)[:, 1]),
            np.array(inputs)[:, 1:].any(1).nonzero()[0],
        )
        intervals.append(started - ready)
        assert [fixation for fixation, *_ in inputs] == [1] * started + [0] * (len(inputs) - started)
        assert weights == [
            started <= step < 2 * started - ready + started - ready for step in range(len(inputs))
        ]
        assert [target for (target,) in targets] == [
            step >= 2 * started - ready for step in range(len(inputs))
        ]
    assert set(intervals) == set(range(8, 16))
    rows = np.arange(60)
    for late, right in ((-2, 0), (-1, 1), (0, 1), (1, 1), (2, 0)):
        outputs = np.full((*batch.targets.shape,), -1.0)
        started = batch.inputs[..., 2].argmax(axis=0)
        outputs[started + intervals + late, rows] = 1
        short = np.array(intervals) < 9  # with a margin of 1.6 + 0.25 steps
        assert task.score(outputs[:, short], batch.rows(short)) == right


# ---- directions on a ring -----------------------------------------------------------------------------

UNITS = 32


def ring_batch(name, index):
    """A batch with hardly any noise, and its rings as ``(2, T, B, units)``."""
    task = zoo.get_task(name, units=UNITS, noise=1e-4)
    batch = task.batch(index, 16, 0, "test")
    return task, batch, np.stack(np.split(batch.inputs[..., 1:], 2, axis=2))


def is_near(one, other):
    """Whether units of a ring are the same or neighbours."""
    return abs((one - other + UNITS // 2) % UNITS - UNITS // 2) <= 1


@pytest.mark.parametrize(("name", "turn"), [("go", 0), ("anti_go", UNITS // 2), ("delay_go", 0)])
def test_go(name, turn):
    for index in range(4):
        _, batch, rings = ring_batch(name, index)
        go = int(batch.inputs[:, 0, 0].round().sum())
        seen = rings.sum(axis=0)[:go].sum(axis=0).argmax(axis=1)
        assert is_near(batch.targets[-1, :, 1:].argmax(axis=1), seen + turn).all()
        assert (batch.targets[:go, :, 0] == 0.8).all()
        assert (batch.targets[:go, :, 1:] == 0.05).all()
        assert (batch.targets[go:, :, 0] == 0.05).all()
        assert (rings[:, -1].max() > 0.5) == (name != "delay_go")
        assert batch.weights[:, 0].tolist() == [0] + [1] * (go - 1) + [0] + [5] * 4


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("decision_1", (1, 0)),
        ("decision_2", (0, 1)),
        ("context_decision_1", (1, 0)),
        ("context_decision_2", (0, 1)),
        ("multisensory_decision", (1, 1)),
    ],
)
def test_decision(name, weights):
    """The answer is the bump with the larger area."""
    disagreements = 0
    for index in range(4):
        _, batch, rings = ring_batch(name, index)
        assert rings[:, -1].max() < 0.01  # after the stimuli
        areas = rings.sum(axis=1)  # over time
        silent = [modality for modality in range(2) if areas[modality].max() < 0.1]
        assert silent == ([weights.index(0)] if name.startswith("decision") else [])
        for row in range(16):
            first, second = choices = bumps(areas.sum(axis=0)[row])
            if not 11 <= (first - second) % UNITS <= UNITS - 11:
                continue  # bumps overlap
            evidence = np.array([[area(ring[row], place) for place in choices] for ring in areas])
            answer = choices[(np.array(weights) @ evidence).argmax()]
            assert is_near(batch.targets[-1, row, 1:].argmax(), answer)
            disagreements += len(set(evidence.argmax(axis=1))) > 1
    assert disagreements > 4 or name.startswith("decision")


def bumps(ring):
    """The units of the two peaks of a ring."""
    peaks = np.flatnonzero((ring > np.roll(ring, 1)) & (ring > np.roll(ring, -1)))
    return sorted(peaks, key=lambda peak: ring[peak])[-2:]


def area(ring, peak):
    """The sum over the units of a bump, which no other bump reaches."""
    return ring[(peak + np.arange(-4, 5)) % UNITS].sum()


@pytest.mark.parametrize(
    ("name", "responds_to_match"), [("match_to_sample", True), ("nonmatch_to_sample", False)]
)
def test_match(name, responds_to_match):
    responses = []
    for index in range(4):
        _, batch, rings = ring_batch(name, index)
        seen = rings.sum(axis=0)
        active = seen.max(axis=(1, 2)) > 0.5
        first, second = (seen[step].argmax(axis=1) for step in (active.argmax(), -1))
        responds = batch.targets[-1, :, 0] == 0.05
        matches = np.array([is_near(*pair) for pair in zip(first, second, strict=True)])
        assert (responds == (matches == responds_to_match)).all()
        assert is_near(batch.targets[-1, responds, 1:].argmax(axis=1), second[responds]).all()
        assert (batch.inputs[..., 0].round() == 1).all()
        responses += responds.tolist()
    assert 0.3 < np.mean(responses) < 0.7


def test_score_of_directions():
    """A trial is right up to 36 degrees if it does not fixate."""
    task, batch, _ = ring_batch("delay_go", 0)
    for turn, right in ((3, 1), (4, 0), (-3, 1), (-4, 0), (16, 0)):  # 11.25 degrees each
        turned = batch.targets.copy()
        turned[..., 1:] = np.roll(turned[..., 1:], turn, axis=2)
        assert task.score(turned, batch) == right
    fixating = batch.targets.copy()
    fixating[-1, :4, 0] = 0.6
    assert task.score(fixating, batch) == 0.75
    task, batch, _ = ring_batch("match_to_sample", 0)
    responding = batch.targets.copy()
    responding[-1, :, 0] = 0
    assert task.score(responding, batch) == (batch.targets[-1, :, 0] == 0.05).mean()


# ---- data ---------------------------------------------------------------------------------------------


def test_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    images, classes = datasets.load_digits(return_X_y=True)
    known = {image.tobytes(): label for image, label in zip(images, classes, strict=True)}
    task, moved = zoo.get_task("digits"), zoo.get_task("permuted_digits", permutation=1)
    for part in PARTS:
        batch, other = task.batch(1, 32, 0, part), moved.batch(1, 32, 0, part)
        assert batch.inputs.shape == (64, 32, 1)
        for row in range(32):
            image = (batch.inputs[:, row, 0] * 16).astype(float)
            assert known[image.tobytes()] == batch.targets[-1, row]
        if part != "train":
            np.testing.assert_array_equal(other.targets, batch.targets)
            np.testing.assert_array_equal(other.inputs[:, :, 0], batch.inputs[moved.order(), :, 0])
    assert sorted(moved.order()) == list(range(64))
    assert task.batch_count("train", 32) is None
    count = task.batch_count("test", 32)
    seen = np.concatenate([task.batch(index, 32, 0, "test").inputs[:, :, 0].T for index in range(count)])
    assert len({image.tobytes() for image in seen}) == 270 == math.ceil(0.15 * 1797)
    for size in (7, 32, 270, 300):
        batches = [task.batch(index, size, 0, "test") for index in range(task.batch_count("test", size))]
        assert sum(batch.weights[-1].sum() for batch in batches) == 270
        np.testing.assert_array_equal(task.batch(len(batches), size, 0, "test").inputs, batches[0].inputs)


def test_digits_without_scikit_learn(monkeypatch):
    import sys

    from zoo_tasks import _pixel_digits

    _pixel_digits.digits.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UsageError, match=r"task 'digits' needs the digits of scikit-learn: pip .*tasks\]'"):
        zoo.get_task("digits").batch(0, 2)
    _pixel_digits.digits.cache_clear()


def test_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{n} times {n} is {n * n}; " for n in range(200)), encoding="utf-8")
    task = zoo.get_task("text", data=str(path), seq=8, split="80,10,10")
    whole = path.read_text(encoding="utf-8")
    symbols = "".join(task.vocabulary)
    first, second = task.batch(0, 2), task.batch(1, 2)
    assert (first.continues, second.continues) == (False, True)
    said = "".join(symbols[token] for token in [*first.inputs[:, 0], *second.inputs[:, 0]])
    assert said == whole[:16]
    assert "".join(symbols[token] for token in second.targets[:, 0]) == whole[9:17]
    assert first.weights.all()
    count = task.batch_count("test", 2)
    assert count == (len(whole) - int(len(whole) * 0.9) - 1) // 16
    assert not task.batch(count, 2, 0, "test").continues
    assert 0.5 < task.baseline() < math.log(len(symbols))
    assert task.batch(0, 300, 0, "test").inputs.shape == (1, 300)  # as long as the part allows
    with pytest.raises(DataError, match="the text is too short"):
        zoo.get_task("text", data="builtin:hello").batch(0, 2, 0, "test")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 1999), options=st.sampled_from([{}, {"level": "byte"}, {"seq": 9}]))
def test_fingerprint_of_a_text_covers_all_of_it(position, options, tmp_path):
    """Without other characters, so that the other tokens stay the same."""
    path, symbols = tmp_path / "text.txt", "abcd" * 500
    digests = []
    for changed in (symbols, symbols[:position] + "abcd"[position % 4 - 1] + symbols[position + 1 :]):
        path.write_text(changed, encoding="utf-8")
        digests.append(zoo.get_task("text", data=str(path), **options).fingerprint())
    assert digests[0] != digests[1]
    assert zoo.get_task("text", data=str(path), split="60,20,20", **options).fingerprint() not in digests


def test_page_lists_facts_of_tasks():
    """The table in docs/task-list.md, row by row."""
    page = (Path(__file__).parents[2] / "docs" / "task-list.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:3] == "| `"
    ]
    assert sorted(row[0].strip("`") for row in rows) == sorted(task.name for task in SHIPPED)
    for name, _, metric, baseline, threshold in rows:
        task = zoo.get_task(name.strip("`"))
        assert metric == task.metric.replace("_", " ")
        assert threshold == ("-" if task.threshold is None else f"{task.threshold:g}")
        if task.name != "text" and (task.name not in NEEDS or find_spec(NEEDS[task.name])):
            assert baseline == f"{task.baseline():.3g}", name


# ---- the laws themselves ------------------------------------------------------------------------------

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org", variant="one")


class Right(zoo.Task):
    """Recall the first of some tokens at the end. The task obeys every law."""

    name = "right"
    card = CARD
    threshold = 0.9
    threshold_source = "the tests"
    length = zoo.Option(12, help="tokens")
    input_size, output_size = 5, 4

    def draw_examples(self, rng, size, part):
        tokens = rng.integers(0, 4, self.length, size).astype(np.int32)
        tokens[-1] = 4
        targets, weights = np.zeros_like(tokens), np.zeros(tokens.shape, np.float32)
        targets[-1], weights[-1] = tokens[0], 1
        return zoo.Batch(tokens, targets, weights)

    def baseline(self):
        return 1 / 4


def changed(**parts):
    """The task with something else in it."""
    return type("Changed", (Right,), {"__doc__": "Broken.", "__module__": __name__, **parts})


def drawing(change):
    def draw_examples(self, rng, size, part):
        return change(Right.draw_examples(self, rng, size, part), rng, part)

    return changed(draw_examples=draw_examples)


def count(batch, rng, part, calls=[]):  # noqa: B006  # that it remembers is the fault
    calls.append(1)
    return batch._replace(inputs=(batch.inputs + len(calls)) % 5)


def constant(batch, rng, part):
    return batch._replace(inputs=np.roll(np.arange(60).reshape(12, 5) % 4, 1, 0)[:, :1] + 0 * batch.inputs)


def without_first_weights(batch, rng, part):
    batch.weights[:, 0] = 0
    return batch


BROKEN = {
    "check_shapes": drawing(lambda batch, rng, part: batch._replace(inputs=batch.inputs + 1)),
    "check_card": changed(threshold=None),
    "check_seed_decides": drawing(count),
    "check_batches_differ": changed(
        make_batch=lambda self, index, size, seed, part: Right().batch(0, size, 0, part)
    ),
    "check_parts_disjoint": changed(
        split_ranges=dict.fromkeys(PARTS, (0.0, 1.0)), length=zoo.Option(3, help="tokens")
    ),
    "check_perfect_is_best": changed(score=lambda self, outputs, batch: -Right().score(outputs, batch)),
    "check_threshold_beyond_baseline": changed(threshold=0.2),
    "check_baseline": changed(baseline=lambda self: 0.1),
    "check_finite_loss": drawing(lambda batch, rng, part: batch._replace(inputs=batch.inputs.astype(object))),
}
CHECKS = {name_of(check): check for check in TASK_CHECKS}


@pytest.mark.parametrize("task", SHIPPED, ids=lambda task: task.name)
def test_threshold_has_a_source_or_its_absence_a_reason(task):
    assert task.card.url
    assert (task.threshold is None) == bool(task.no_threshold) == (not task.threshold_source)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threshold_source": " "}, "found a threshold without a source"),
        ({"threshold": None}, "found a source of a threshold that is None"),
        ({"no_threshold": "it is easy"}, "found a threshold and a reason for none"),
    ],
)
def test_threshold_and_its_source_belong_together(change, words):
    (outcome,) = run_checks(changed(**change)(), [CHECKS["check_card"]], on_fail="collect").failures
    assert words in outcome.message
    fits = changed(threshold=None, threshold_source="", no_threshold="it is easy")()
    assert run_checks(fits, [CHECKS["check_card"]], on_fail="collect").ok


def test_show_states_why_a_task_has_no_threshold():
    shown = CliRunner().invoke(cli, ["show", "task:go"]).output
    assert f"solved at none {zoo.get_task('go').no_threshold}" in " ".join(shown.split())


@pytest.mark.parametrize(("name", "turn"), [("go", 0), ("anti_go", 8)])
def test_controls_need_no_memory(name, turn):
    """A map of the present input scores one: no threshold would be worse than a memoryless model's."""
    task = zoo.get_task(name)
    for index in range(4):
        batch = task.batch(index, 64, 0, "test")
        fixation, first, second = np.split(batch.inputs, [1, 17], axis=-1)
        outputs = np.concatenate([fixation, np.roll(first + second, turn, axis=-1)], axis=-1)
        assert task.score(outputs, batch) == task.baseline() == 1


def test_right_task_obeys_every_law():
    report = check_task(Right, on_fail="collect")
    assert report.ok, str(report)
    assert all(outcome.status == "passed" for outcome in report.outcomes)


def test_every_law_has_a_broken_task_and_a_statement():
    assert set(BROKEN) == set(CHECKS)
    assert all(law_of(check).endswith(".") for check in TASK_CHECKS)


@pytest.mark.parametrize("name", BROKEN)
def test_law_catches_broken_task(name):
    (outcome,) = run_checks(BROKEN[name](), [CHECKS[name]], on_fail="collect").failures
    assert outcome.message.startswith("task 'changed': ")
    assert "found " in outcome.message
    assert ", expected " in outcome.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda batch, rng, part: batch._replace(targets=batch.targets + 3),
            "draw_examples: found targets from 3 to ",
        ),
        (lambda batch, rng, part: batch._replace(targets=batch.targets[:-1]), "targets int32"),
        (lambda batch, rng, part: batch._replace(weights=-batch.weights), "weights that are negative"),
        (lambda batch, rng, part: batch._replace(weights=batch.weights + np.inf), "infinite or NaN"),
        (without_first_weights, "no weight above zero"),
        (
            lambda batch, rng, part: batch._replace(weights=batch.weights * (batch.inputs[:1] > 0)),
            "without weight|no weight",
        ),
        (lambda batch, rng, part: batch._replace(inputs=batch.inputs[..., None] / 0.5), "inputs float64"),
    ],
)
def test_shape_law_names_mismatch(change, words):
    with pytest.raises(AssertionError, match=words):
        CHECKS["check_shapes"](drawing(change)())


def test_check_detects_memory_beyond_baseline():
    """A task whose last input gives the answer away has a better baseline than it says."""

    def reveal_last_target(batch, rng, part):
        batch.inputs[-1] = batch.targets[-1]
        return batch

    with pytest.raises(AssertionError, match=r"found 1 without memory, expected the baseline 0.25"):
        CHECKS["check_baseline"](drawing(reveal_last_target)())


def test_options_of_an_unpublished_task_need_no_help():
    CHECKS["check_card"](changed(length=zoo.Option(12))())
    with pytest.raises(AssertionError, match=r"found \['length'\] without help"):
        CHECKS["check_card"](changed(card=Right.card, length=zoo.Option(12))())
