"""Samplers: each against its definition, all against the laws, and the laws against broken samplers."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from contextlib import nullcontext
from fractions import Fraction
from unittest import SkipTest

import numba
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from zoo_samplers import greedy, min_p, temperature, top_k, top_p, typical
from zoo_samplers._truncation import argsort_descending, keep_only
from zoo_samplers.greedy import Greedy
from zoo_samplers.min_p import MinP
from zoo_samplers.temperature import Temperature
from zoo_samplers.top_k import TopK
from zoo_samplers.top_p import TopP
from zoo_samplers.typical import Typical

import zoo
from zoo.errors import DefinitionError, UsageError
from zoo.kernels.random import uniform
from zoo.testing.samplers import SAMPLER_CHECKS, check_reference

MODULES = {greedy: Greedy, min_p: MinP, temperature: Temperature, top_k: TopK, top_p: TopP, typical: Typical}
SETTINGS = (
    Greedy(),
    Temperature(temperature=0.5),
    TopK(k=3),
    TopP(p=0.8),
    TopP(p=1.0),
    MinP(p=0.1),
    Typical(mass=0.5),
)
LAST = 1.0 - 2.0**-53
HUGE = float(np.finfo(np.float32).max)
NEEDS_COMPILER = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
example_based = settings(deadline=None)

numbers = (
    st.floats(-30, 30) | st.integers(-4, 4).map(float) | st.sampled_from([1e4, -1e4, HUGE, -HUGE, -np.inf])
)
logit_vectors = st.lists(numbers, min_size=1, max_size=50).map(np.array).filter(lambda v: v.max() > -np.inf)
spread_vectors = st.lists(st.floats(-2, 2), min_size=5, max_size=50).map(
    np.array
)  # on both sides of the entropy
shares = st.floats(1e-6, 0.999999)


@pytest.mark.parametrize(
    "check",
    [check for check in SAMPLER_CHECKS if check is not check_reference],  # their definitions stand below
    ids=lambda check: check.__name__,
)
@pytest.mark.parametrize("sampler", SETTINGS, ids=lambda sampler: sampler.describe())
def test_law(sampler, check):
    check(sampler)


# Definitions, once more and in another way: symbol by symbol, sums exact.


def ahead(logits, i):
    """The number of symbols that come before i: a higher logit, or the same and a lower index."""
    return sum(bool(x > logits[i] or (x == logits[i] and j < i)) for j, x in enumerate(logits))


def weights_of(logits):
    """Probabilities up to a factor, as exact numbers."""
    return [Fraction(math.exp(x - max(logits))) for x in logits]


def beginning(order, weights, share):
    """The shortest prefix with the given probability. Examples that rounding would decide are dropped."""
    total = sum(weights[i] for i in order)
    kept, held = [], Fraction(0)
    for i in order:
        if kept and held >= Fraction(share) * total:
            break
        kept.append(i)
        held += weights[i]
        assume(abs(held / total - Fraction(share)) > 1e-9)
    return sorted(kept)


def kept(sampler, logits):
    """The symbols that stay, whose logits must be what they were."""
    out = sampler.apply(logits.copy())
    stay = np.flatnonzero(out > -np.inf)
    if not isinstance(sampler, Temperature):
        assert np.array_equal(out[stay], logits[stay]), "kept logits must not change"
    return stay.tolist()


def drawable(logits):
    return [i for i, x in enumerate(logits) if x > -np.inf]


@example_based
@given(logit_vectors)
def test_greedy_takes_first_maximum(logits):
    assert kept(Greedy(), logits) == [i for i in drawable(logits) if ahead(logits, i) == 0]


@example_based
@given(logit_vectors, st.integers(1, 60))
def test_top_k_keeps_k_highest_with_ties(logits, k):
    assert kept(TopK(k=k), logits) == [i for i in drawable(logits) if ahead(logits, i) < k]


@example_based
@given(logit_vectors, shares)
def test_top_p_keeps_shortest_prefix(logits, p):
    order = sorted(drawable(logits), key=lambda i: ahead(logits, i))
    assert kept(TopP(p=p), logits) == beginning(order, weights_of(logits), p)


@example_based
@given(logit_vectors, st.floats(0.0, 1.0))
def test_min_p_keeps_relatively_probable_symbols(logits, p):
    weights = weights_of(logits)
    assume(all(abs(w - Fraction(p)) > 1e-12 * w for w in weights if 0 < w < 1))
    assert kept(MinP(p=p), logits) == [i for i in drawable(logits) if weights[i] >= p]


@example_based
@given(logit_vectors | spread_vectors, shares)
def test_typical_keeps_symbols_near_entropy(logits, mass):
    weights = weights_of(logits)
    total = math.fsum(weights)
    surprise = {i: math.log(total) - (logits[i] - logits.max()) for i in drawable(logits)}
    entropy = math.fsum(float(weights[i]) / total * surprise[i] for i in surprise)
    distance = {i: abs(surprise[i] - entropy) for i in surprise}
    order = sorted(distance, key=lambda i: (distance[i], ahead(logits, i)))
    for i, j in itertools.pairwise(order):  # one on each side of the entropy: rounding would decide
        assume(surprise[i] == surprise[j] or distance[j] - distance[i] > 1e-9 * (1 + distance[j]))
    assert kept(Typical(mass=mass), logits) == beginning(order, weights, mass)


@example_based
@given(logit_vectors)
def test_neutral_settings_keep_all_symbols(logits):
    for sampler in (TopK(k=10**9), TopP(p=1.0), MinP(p=0.0), Typical(mass=1.0)):
        assert np.array_equal(sampler.apply(logits.copy()), logits), sampler


@example_based
@given(st.lists(st.integers(-3, 3), max_size=70))
def test_descending_is_a_stable_sort(keys):
    expected = sorted(range(len(keys)), key=lambda i: -keys[i])
    assert argsort_descending(np.array(keys, np.float64)).tolist() == expected


@pytest.mark.parametrize(
    ("sampler", "probabilities", "expected"),
    [
        (TopK(k=2), [0.25, 0.25, 0.25, 0.25], [0, 1]),
        (TopK(k=2), [0.2, 0.3, 0.2, 0.3], [1, 3]),
        (TopK(k=3), [0.2, 0.3, 0.2, 0.3], [0, 1, 3]),
        (TopP(p=0.3), [0.1] * 10, [0, 1, 2]),
        (TopP(p=0.5), [0.1] * 10, [0, 1, 2, 3, 4]),
        (TopP(p=0.6), [0.1, 0.5, 0.4], [1, 2]),
        (TopP(p=1e-6), [0.1, 0.5, 0.4], [1]),
        (MinP(p=1.0), [0.2, 0.4, 0.4], [1, 2]),
        (MinP(p=0.45), [0.2, 0.41, 0.39], [0, 1, 2]),
        (MinP(p=0.55), [0.2, 0.41, 0.39], [1, 2]),
        (Typical(mass=0.5), [0.25] * 4, [0, 1]),
        (
            Typical(mass=0.6),
            [0.35, 0.13, 0.13, 0.13, 0.13, 0.13],
            [1, 2, 3, 4, 5],
        ),  # not the most probable one
        (Typical(mass=0.9), [0.88, 0.06, 0.06], [0, 1]),
    ],
)
def test_sets_worked_out_by_hand(sampler, probabilities, expected):
    assert kept(sampler, np.log(probabilities)) == expected


# Temperature.


def softmax(logits):
    weights = [math.exp(x - max(logits)) for x in logits]
    return np.array(weights) / math.fsum(weights)


@example_based
@given(logit_vectors, st.floats(0.01, 100))
def test_temperature_divides_the_logits(logits, t):
    expected = softmax([(x - logits.max()) / t for x in logits])
    np.testing.assert_allclose(
        Temperature(temperature=t).probabilities(logits), expected, rtol=1e-9, atol=1e-300
    )


@example_based
@given(logit_vectors)
def test_temperature_one_changes_nothing(logits):
    np.testing.assert_allclose(
        Temperature().probabilities(logits), zoo.Chain().probabilities(logits), rtol=1e-12
    )


@example_based
@given(st.lists(st.integers(-30, 30), min_size=1, max_size=50, unique=True))
def test_temperature_towards_zero_is_greedy(logits):
    cold = Temperature(temperature=1e-6).probabilities(np.array(logits))
    assert cold.tolist() == Greedy().probabilities(np.array(logits)).tolist()


@example_based
@given(logit_vectors)
def test_temperature_towards_infinity_is_uniform(logits):
    hot = Temperature(temperature=1e300).probabilities(logits)
    np.testing.assert_allclose(hot, (logits > -np.inf) / len(drawable(logits)), rtol=1e-12)


def test_no_logit_is_too_large():
    """Distances beyond float64 mean probability zero, without a warning."""
    logits = np.array([1.7e308, -1.7e308, 0.0])
    for sampler in SETTINGS:
        assert sampler.probabilities(logits).tolist() == [1.0, 0.0, 0.0], sampler


# The draw.


@example_based
@given(logit_vectors, st.floats(0.0, LAST) | st.sampled_from([0.0, LAST, 0.5, 2.0**-53]))
def test_draw_is_the_inverse_of_the_cumulative_distribution(logits, u):
    probabilities = zoo.Chain().probabilities(logits)
    drawn = zoo.Chain()(logits, u)
    exact = [Fraction(x) for x in probabilities]
    below = sum(exact[:drawn]) / sum(exact)
    assert probabilities[drawn] > 0.0, f"symbol {drawn} has probability zero"
    assert float(below) - 1e-12 <= u <= float(below + exact[drawn] / sum(exact)) + 1e-12


@pytest.mark.parametrize("zeros", [0, 1, 5])
@pytest.mark.parametrize("size", range(1, 60))
def test_last_uniform_number_draws_the_last_possible_symbol(size, zeros):
    """Sums of 1/size end at one, above and below it, and then the impossible ones follow."""
    logits = np.concatenate((np.zeros(size), np.full(zeros, -np.inf)))
    assert zoo.Chain()(logits, LAST) == size - 1
    assert zoo.Chain()(logits[::-1], 0.0) == zeros
    assert type(zoo.Chain()(logits, LAST)) is int


@pytest.mark.parametrize("u", [1.0, -1e-9, 2.0, math.nan, math.inf])
def test_uniform_number_out_of_range_raises(u):
    with pytest.raises(UsageError, match=r"u is .*; expected a uniform number in \[0, 1\)"):
        Greedy()(np.zeros(3), u)


def test_seed_gives_golden_symbols():
    logits = np.array([0.5, 2.0, -1.5, 1.5, -2.0, 1.0, 0.0, -0.5, -1.0, -np.inf])
    chain = Temperature(temperature=1.25) | TopK(k=7)
    drawn = "".join(str(chain(logits, uniform(2024, count))) for count in range(40))
    assert drawn == "3113181055663511315537311055111333575116"


@pytest.mark.parametrize(
    "logits",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1, 2, 3]),
        np.arange(1, 4, dtype=np.float32),
        np.arange(1.0, 7, 2) / 2 + 0.5,
    ],
)
def test_any_numeric_vector_is_accepted(logits):
    np.testing.assert_allclose(zoo.Chain().probabilities(logits), softmax([1, 2, 3]), rtol=1e-12)


@pytest.mark.parametrize("layout", [lambda v: v[::2], lambda v: v[::-2], lambda v: v[:3].astype(">f8")])
def test_any_memory_layout_is_accepted(layout):
    vector = layout(np.arange(5.0))
    before = vector.copy()
    for sampler in SETTINGS:
        assert sampler.probabilities(vector).shape == (3,), sampler
        assert np.array_equal(vector, before), sampler


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([1.0, math.nan], "the logits hold nan at index 1; expected numbers"),
        ([math.inf, 1.0], "the logits hold inf at index 0; expected numbers"),
        ([-math.inf, -math.inf], "the logits are all -inf; expected at least one symbol"),
        ([[1.0, 2.0]], r"found float64 of shape \(1, 2\); expected the logits of one step"),
        ([], r"found float64 of shape \(0,\); expected the logits of one step"),
        (3.0, r"found float64 of shape \(\); expected the logits of one step"),
        (["a"], r"found <U1 of shape \(1,\); expected the logits of one step"),
        ([1j], r"found complex128 of shape \(1,\); expected the logits of one step"),
    ],
)
def test_invalid_logits_raise(logits, message):
    for sampler in (zoo.Chain(), Greedy(), TopP() | Temperature()):
        with pytest.raises(UsageError, match=message):
            sampler.probabilities(logits)


# Chains.

SKEWED = np.log([0.5, 0.3, 0.2])


def test_order_of_a_chain_matters():
    """Nucleus of 0.75: two symbols of (0.5, 0.3, 0.2), three of the flatter (0.41, 0.32, 0.26)."""
    flatten, nucleus = Temperature(temperature=2.0), TopP(p=0.75)
    np.testing.assert_allclose((nucleus | flatten).probabilities(SKEWED)[2], 0.0)
    np.testing.assert_allclose((flatten | nucleus).probabilities(SKEWED), softmax(SKEWED / 2), rtol=1e-12)


@example_based
@given(
    logit_vectors, st.permutations([Temperature(temperature=0.7), TopK(k=5), MinP(p=0.2), Typical(mass=0.9)])
)
def test_chain_is_its_samplers_one_after_the_other(logits, samplers):
    chain = zoo.Chain(tuple(samplers))
    expected = logits
    for sampler in samplers:
        expected = sampler.apply(expected)
    np.testing.assert_allclose(chain.probabilities(logits), softmax(expected), rtol=1e-9, atol=1e-300)


def test_chains_compose_and_compare():
    a, b, c = Temperature(temperature=0.8), TopK(k=40), Greedy()
    assert (a | b) | c == a | (b | c) == zoo.Chain((a, b, c))
    assert a | zoo.Chain() == zoo.Chain() | a == zoo.Chain((a,))
    assert hash(a | b) == hash(Temperature(temperature=0.8) | TopK(k=40))
    assert a | b != b | a
    assert a | b != a | TopK(k=41)
    assert repr(a | b) == "Chain(samplers=(Temperature(temperature=0.8), TopK(k=40)))"


def test_description_is_short():
    assert (Temperature(temperature=0.8) | TopK(k=40)).describe() == "temperature=0.8, top_k=40"
    assert (
        zoo.Chain((Greedy(), TopP(), MinP(), Typical())).describe()
        == "greedy, top_p=0.95, min_p=0.1, typical=0.95"
    )
    assert zoo.Chain().describe() == "softmax"


@pytest.mark.parametrize("wrong", [(TopK,), ("top_k",), (TopK(), None), TopK(), [TopK()]])
def test_chain_with_other_type_raises(wrong):
    with pytest.raises(UsageError, match=r"zoo\.Chain: found .*; expected a tuple of samplers"):
        zoo.Chain(wrong)


@pytest.mark.parametrize("wrong", [TopK, "top_k", None, [TopK()]])
def test_only_samplers_and_chains_can_be_joined(wrong):
    for left in (TopK(), zoo.Chain()):
        with pytest.raises(UsageError, match=r"cannot be chained with .*for example zoo\.get_sampler"):
            left | wrong


def test_base_classes_import_neither_numpy_nor_numba():
    program = "import sys, zoo.base; sys.exit(bool({'numpy', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# Options and registration.


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (
            Temperature,
            {"temperature": 0.0},
            "sampler 'temperature': option 'temperature' is 0.0; expected a finite number",
        ),
        (Temperature, {"temperature": -1.0}, "at least 1e-06"),
        (Temperature, {"temperature": math.nan}, "is nan; expected a finite number"),
        (Temperature, {"temperature": math.inf}, "is inf; expected a finite number"),
        (Temperature, {"temperature": "hot"}, "is 'hot'; expected a finite number"),
        (
            Temperature,
            {"temprature": 1.0},
            "no option 'temprature'; it has: temperature. Did you mean 'temperature'",
        ),
        (TopK, {"k": 0}, "sampler 'top_k': option 'k' is 0; expected an integer at least 1"),
        (TopK, {"k": 2.5}, "is 2.5; expected an integer"),
        (TopK, {"k": True}, "is True; expected an integer"),
        (TopK, {"k": 2**70}, "expected an integer at least 1 and at most 1,000"),
        (TopK, {"p": 0.5}, "no option 'p'; it has: k"),
        (
            TopP,
            {"p": 0.0},
            "sampler 'top_p': option 'p' is 0.0; expected a finite number at least 1e-06 and at most 1",
        ),
        (TopP, {"p": 1.01}, "is 1.01; expected"),
        (
            MinP,
            {"p": -0.1},
            "sampler 'min_p': option 'p' is -0.1; expected a finite number at least 0 and at most 1",
        ),
        (MinP, {"p": 1.5}, "is 1.5; expected"),
        (
            Typical,
            {"mass": 0.0},
            "sampler 'typical': option 'mass' is 0.0; expected a finite number at least 1e-06",
        ),
        (Typical, {"mass": math.nan}, "is nan; expected"),
        (Greedy, {"k": 1}, "sampler 'greedy' has no option 'k'; it has: none"),
    ],
)
def test_invalid_sampler_options_raise(cls, options, message):
    with pytest.raises(UsageError, match=message):
        cls(**options)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_hook_registers_the_sampler_of_the_file(module):
    registered = []
    module.zoo_register_samplers(register=registered.append)
    (sampler,) = registered
    assert sampler is MODULES[module]
    assert sampler.name == module.__name__.rpartition(".")[2]
    assert sampler.card.url in module.__doc__, "the fact sheet links to the paper of the card"
    assert str(sampler.card.year) in module.__doc__


def test_class_without_transform_raises():
    with pytest.raises(DefinitionError, match=r"transform is missing; add the @zoo\.njit function"):
        type("Empty", (zoo.Sampler,), {"__doc__": "Nothing.", "card": Greedy.card})


@zoo.njit
def make_nan(logits):
    return logits * np.nan


@zoo.njit
def drop_all(logits):
    return logits - np.inf


@zoo.njit
def lengthen(logits):
    return np.zeros(logits.size + 1)


@zoo.njit
def halve(logits):
    return logits.astype(np.float32)


@zoo.njit
def stack(logits):
    return logits.reshape((1, logits.size))


@zoo.njit
def reduce(logits):
    return logits.max()


@zoo.njit
def overwrite(logits):
    logits[:] = 0.0


@zoo.njit
def repeat(logits):
    return logits, logits


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (make_nan, "the logits after faulty hold nan at index 0"),
        (drop_all, "the logits after faulty are all -inf"),
        (lengthen, r"the logits after faulty are an array float64\(4,\); expected an array float64\(3,\)"),
        (halve, r"the logits after faulty are an array float32\(3,\)"),
        (stack, r"the logits after faulty are an array float64\(1, 3\)"),
        (reduce, r"the logits after faulty are (np\.float64\()?0\.0"),  # NumPy's number in plain Python
        (overwrite, "the logits after faulty are None"),
        (repeat, "the logits after faulty are "),
    ],
    ids=["nan", "none", "shape", "dtype", "axes", "number", "nothing", "pair"],
)
def test_sampler_that_changes_logits_is_named(transform, message):
    faulty = type("Faulty", (zoo.Sampler,), {"__doc__": "Bad.", "card": Greedy.card, "transform": transform})
    chain = Temperature() | faulty() | TopK()
    with pytest.raises(UsageError, match=message):
        chain.probabilities(np.zeros(3))
    model = zoo.LanguageModel("abc", "vanilla", hidden_size=4)
    with pytest.raises(UsageError, match=message):  # and not an error of compilation of the decoder loop
        model.sample("a", 5, sampler=chain)


# The laws catch what breaks them.


class Honest(zoo.Sampler, abstract=True):
    """Base class of the broken samplers below. It keeps the logits."""

    card = Greedy.card

    @zoo.njit
    def transform(logits):
        return logits.copy()


class Plain(Honest):
    """Keeps the logits, in plain Python."""

    def transform(logits):
        return logits.copy()


@pytest.mark.parametrize("check", SAMPLER_CHECKS, ids=lambda check: check.__name__)
def test_laws_of_compiled_kernels_are_skipped_for_a_python_function(check):
    advice = "transform runs as plain Python; write @zoo.njit above its definition to compile it"
    skipped = {"check_jit_equals_python": advice, "check_compiles_once": advice}
    skipped |= {"check_reference": "the class has"}
    is_skipped = check.__name__ in skipped
    with pytest.raises(SkipTest, match=skipped[check.__name__]) if is_skipped else nullcontext():
        check(Plain())


class Silent(Honest):
    """Has an option that nobody explains."""

    strength = zoo.Option(1.0)

    @zoo.njit
    def transform(logits, strength):
        return logits * strength


class Narrow(Honest):
    """Gives float32 back."""

    transform = halve


class Scribbler(Honest):
    """Writes to its input."""

    @zoo.njit
    def transform(logits):
        logits[0] += 1.0
        return logits.copy()


class Moody(Honest):
    """Adds noise of its own."""

    @zoo.njit
    def transform(logits):
        return logits + np.random.random()  # noqa: NPY002  # what Numba knows


class Strict(Honest):
    """May drop every symbol."""

    @zoo.njit
    def transform(logits):
        return keep_only(logits, np.flatnonzero(logits > 0.0))


class Absolute(Honest):
    """Compares logits with a fixed number, though a constant in them means nothing."""

    @zoo.njit
    def transform(logits):
        return keep_only(logits, np.flatnonzero((logits > 0.0) | (logits == logits.max())))


class Reviver(Honest):
    """Brings dropped symbols back."""

    @zoo.njit
    def transform(logits):
        return np.maximum(logits, -1e9)


class Contrarian(Honest):
    """Prefers the improbable."""

    @zoo.njit
    def transform(logits):
        out = logits.copy()
        for symbol in np.flatnonzero(logits > -np.inf):
            out[symbol] = -logits[symbol]
        return out


class Partial(Honest):
    """Favours the symbol with index 0."""

    @zoo.njit
    def transform(logits):
        out = logits.copy()
        out[0] += 0.5
        return out


class Overflowing(Honest):
    """A softmax that does not subtract the maximum."""

    @zoo.njit
    def transform(logits):
        return logits - np.log1p(np.exp(logits).sum())


class Careless(Honest):
    """Inverts the cumulative distribution with the wrong side: u=0 draws symbol 0, possible or not."""

    def __call__(self, logits, u):
        return int(np.searchsorted(np.cumsum(self.probabilities(logits)), u, side="left"))


class Skewed(Honest):
    """Draws with a number that is not uniform."""

    def __call__(self, logits, u):
        return super().__call__(logits, u * u)


class Blind(Honest):
    """Draws from anything."""

    def __call__(self, logits, u):
        return int(np.argmax(logits))


class Smoothing(Honest):
    """Keeps a tenth of the probability for nobody."""

    def probabilities(self, logits):
        return 0.9 * super().probabilities(logits)


def two_thirds(logits):
    return logits * (2.0 / 3.0)


class Twofold(Honest):
    """Computes something else where it is compiled."""

    @zoo.njit(python_fallback=two_thirds)
    def transform(logits):
        return logits * 0.667


class Recompiling(Honest):
    """Compiles for another dtype when the vector gets longer."""

    def apply(self, logits):
        return super().apply(logits.astype(np.float32) if logits.size > 3 else logits).astype(np.float64)


class OneTooMany(Honest):
    """Keeps k + 1 symbols, where its definition keeps k."""

    k = zoo.Option(2, help="symbols kept", low=1)

    @zoo.njit
    def transform(logits, k):
        return keep_only(logits, argsort_descending(logits)[: k + 1])

    @staticmethod
    def reference(logits, k):
        kept = [i for i in range(len(logits)) if ahead(logits, i) < k]
        return np.array([x if i in kept else -np.inf for i, x in enumerate(logits)])


class Multiplying(Honest):
    """Multiplies by a temperature by which its definition divides."""

    t = zoo.Option(0.5, help="temperature", low=0.1)

    @zoo.njit
    def transform(logits, t):
        return logits * t

    @staticmethod
    def reference(logits, t):
        return logits / t


class Dividing(Multiplying):
    """Does as its definition says."""

    @zoo.njit
    def transform(logits, t):
        return logits / t


BROKEN = {
    "check_output_like_input": Narrow,
    "check_card": Silent,
    "check_input_unchanged": Scribbler,
    "check_deterministic": Moody,
    "check_one_symbol_stays": Strict,
    "check_constant_ignored": Absolute,
    "check_dropped_stays_dropped": Reviver,
    "check_order_preserved": Contrarian,
    "check_permutation": Partial,
    "check_probabilities_sum_to_one": Overflowing,
    "check_draws_kept_symbols": Careless,
    "check_distribution": Skewed,
    "check_nan_raises": Blind,
    "check_single_symbol": Smoothing,
    "check_jit_equals_python": Twofold,
    "check_reference": OneTooMany,
    "check_compiles_once": Recompiling,
}
COMPILED = {"check_jit_equals_python", "check_compiles_once"}


def test_check_compares_sampler_with_numpy_definition():
    check_reference(Dividing())
    with pytest.raises(AssertionError, match=r"sampler 'multiplying': found (.|\n)*, as its reference"):
        check_reference(Multiplying())
    with pytest.raises(SkipTest, match="has no reference"):
        check_reference(Greedy())


def test_each_sampler_law_has_broken_sampler_and_summary():
    assert [check.__name__ for check in SAMPLER_CHECKS] == list(BROKEN)
    for check in SAMPLER_CHECKS:
        assert "\n" not in check.__doc__.strip(), check.__name__


@pytest.mark.parametrize(
    "check",
    [pytest.param(c, marks=NEEDS_COMPILER if c.__name__ in COMPILED else ()) for c in SAMPLER_CHECKS],
    ids=lambda check: check.__name__,
)
def test_law_catches_a_broken_sampler(check):
    sampler = BROKEN[check.__name__]()
    with pytest.raises(AssertionError, match=rf"{sampler.label()}: found (.|\n)*, expected (.|\n)*\."):
        check(sampler)
