"""Every public function, with values of wrong kinds and sizes: one sentence, or a result that is right."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest
from hostile_values import calls, values

import zoo
from zoo.errors import UsageError, ZooError
from zoo.kernels import pure_python

MODULES = ("zoo", "zoo.analysis", "zoo.convert", "zoo.data", "zoo.export", "zoo.report")

# What is in no table of calls, and why.
OF_STEPS = "for the arrays and symbols of a step, as the functions of NumPy are"
OF_NUMBA = "a decorator of functions for Numba"
BASES = "a base class; its subclasses check what they declare when they are defined"
RESULTS = "a result, which zoo makes"
LEFT_OUT = {
    **{name: OF_STEPS for name in zoo._EXPORTS["functions"].split() if name != "split"},
    "list_builtins": "takes nothing",
    "njit": OF_NUMBA,
    "hookimpl": "a marker for functions of plugins",
    **dict.fromkeys(
        ("Block", "Cell", "Constraint", "Modifier", "Optimizer", "Penalty", "Sampler", "Task", "Tracker"),
        BASES,
    ),
    **dict.fromkeys(
        ("Batch", "Output", "Corpus", "Decoder", "Split", "Window", "FixedPoints", "ReportPage"), RESULTS
    ),
    **dict.fromkeys(("ColumnRoles", "DataTable", "LabelledSequences", "Panel"), RESULTS),
    **dict.fromkeys(("BpttBatches", "CFiles", "HtmlFile", "JsFile", "OnnxFile"), RESULTS),
    "Loss": "a row of the table of losses; register_loss checks it",
    **dict.fromkeys(("get_loss", "list_losses", "register_loss"), "tested in tests/model/test_losses.py"),
    **dict.fromkeys(
        ("TokenizerVocabulary", "load_tokenizer", "train_bpe"), "tested in tests/data/test_tokenizer.py"
    ),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """All calls; each is made in a directory of its own, as plain Python."""
    return calls(tmp_path_factory.mktemp("hostile"))


def public_names():
    for name in MODULES:
        module = importlib.import_module(name)
        for each in module.__all__:
            value = getattr(module, each)
            is_error = inspect.isclass(value) and issubclass(value, Exception)
            if callable(value) and not is_error:
                yield each


def test_every_public_function_is_listed_or_excluded(table):
    assert sorted(set(public_names()) - set(table)) == sorted(LEFT_OUT)


@pytest.fixture
def _elsewhere(own_registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.filterwarnings("ignore")
def test_hostile_arguments_give_result_or_zoo_error(table):
    wrong = []
    with pure_python():
        for name, call in table.items():
            for parameter in call.arguments:
                for kind, value in values().items():
                    try:
                        call.run(**{parameter: value})
                    except ZooError as error:
                        if "\n" in str(error) or not 0 < len(str(error)) < 1000:
                            wrong.append(f"{name}: {parameter} is {kind}: {str(error)[:2000]}")
                    except Exception as error:
                        wrong.append(f"{name}: {parameter} is {kind}: {error!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.usefixtures("_elsewhere")
def test_hostile_arguments_match_signatures(table):
    """Those that the others change one by one; there are no runs, and a layer has no loss."""
    refused = {}
    with pure_python():
        for name, call in table.items():
            try:
                call.run()
            except ZooError as error:
                refused[name] = str(error)
    without_run = [
        "Comparison",
        "Run",
        "Run.model",
        "backtest",
        "compare",
        "fit",
        "forecast",
        "make_report",
        "predict",
    ]
    assert sorted(refused) == [*without_run, "trace_grads", "train", "write_paper"]
    assert refused["train"] == "enough at start"
    assert refused["compare"].startswith("enough of")


# ---- arrays that NumPy would take wrongly, and others that are the same numbers --------------------------


def takers():
    """Functions of an array ``(T, B, I)`` by name."""
    rnn = zoo.Recurrent("vanilla", 3, 4)
    model = zoo.SequenceModel("vanilla", 3, 2, 4, loss="squared_error")
    y = np.zeros((5, 2, 2))
    return {
        "forward": lambda x: rnn.forward(x)[0],
        "apply": lambda x: rnn.apply(rnn.theta, x)[0],
        "outputs": lambda x: model.outputs(x)[0],
        "loss": lambda x: np.array(model.loss(x, y)[0]),
        "jacobian": lambda x: zoo.analysis.jacobian(rnn, x),
    }


class Sparse:
    """As the matrices of SciPy."""

    def toarray(self):
        return np.ones((5, 2, 3))


REFUSED = {
    "masked": (
        lambda x: np.ma.masked_array(x, x > 1),
        "found a masked array, whose mask has no meaning here; fill",
    ),
    "rows that are masked": (
        lambda x: [np.ma.masked_array(each, each > 1) for each in x],
        "found a masked array",
    ),
    "sparse": (lambda _: Sparse(), r"found a sparse Sparse; make it an array, x.toarray\(\)"),
    "complex": (lambda x: x + 1j, r"complex128\(5, 2, 3\)"),
    "objects": (lambda x: x.astype(object), r"objects\(5, 2, 3\)"),
    "texts": (lambda x: x.astype(str), r"texts\(5, 2, 3\)"),
    "dates": (lambda x: x.astype("M8[s]"), r"datetime64\[s\]\(5, 2, 3\)"),
}
SAME = {
    "big-endian": lambda x: x.astype(">f8"),
    "backwards twice": lambda x: x[::-1].copy()[::-1],
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
    "Fortran": np.asfortranarray,
    "unaligned": lambda x: np.frombuffer(b"-" + x.tobytes(), offset=1, dtype=x.dtype).reshape(x.shape),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "nested lists": lambda x: x.tolist(),
    "a long double": lambda x: x.astype(np.longdouble),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("taker", takers())
def test_arrays_of_other_dtypes_raise(taker, kind):
    make, sentence = REFUSED[kind]
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    with pure_python(), pytest.raises(UsageError, match=sentence):
        takers()[taker](make(x))


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("taker", takers())
def test_equivalent_array_forms_give_same_result(taker, kind):
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    with pure_python():
        np.testing.assert_array_equal(takers()[taker](SAME[kind](x)), takers()[taker](x))
