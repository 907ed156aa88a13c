"""Type declarations of exported JavaScript: names, arguments, and the columns and classes of a model."""

from __future__ import annotations

import re

import numpy as np
import pytest
from data_models import forecaster, labelled, predictor, rich_forecaster, series_table
from hypothesis import given
from hypothesis import strategies as st
from random_trials import examples

import zoo
from zoo.data import LabelledSequences, WordVocabulary
from zoo.errors import UsageError
from zoo.export.exported_model import exported_model
from zoo.export.js_model import js_module
from zoo.export.js_types import type_declarations, type_of

pytestmark = pytest.mark.usefixtures("plain_python")

BOTH = {"bidirectional": True}
MODELS = {
    "layer": lambda: zoo.Recurrent("vanilla", 3, 2),
    "aux": lambda: zoo.Recurrent(["cfc", "gru"], 3, 2, dtype="float64"),
    "both directions": lambda: zoo.Recurrent("cfc", 3, 2, bidirectional=True),
    "text": lambda: zoo.LanguageModel("ab", hidden_size=2),
    "bytes": lambda: zoo.LanguageModel([*range(97, 100)], hidden_size=2),
    "words": lambda: zoo.LanguageModel(WordVocabulary(["<unk>", "a"]), hidden_size=2),
    "tokens": lambda: zoo.SequenceModel("gru", 3, 2, hidden_size=2, embedding=2),
    "table": lambda: forecaster(series_table()),
    "series": lambda: rich_forecaster("mask")[2],
    "classes": lambda: predictor(labelled()[0]),
    "numbers": lambda: predictor(labelled(classes=False)[0]),
    "reversed classes": lambda: predictor(labelled()[0], bidirectional=True),
}


def declarations(model):
    module = js_module(exported_model(model))
    return module, type_declarations(module.source, module.info)


@pytest.mark.parametrize("name", MODELS)
def test_every_exported_name_and_argument_has_a_type(name):
    module, types = declarations(MODELS[name]())
    exported = re.findall(r"^export (?:class|function|const) (\w+)", types, re.MULTILINE)
    assert sorted(exported) == sorted(module.names)
    assert types.isascii()
    assert types.count("{") == types.count("}")
    body = module.source[module.source.index("export class Model") :]
    calls = re.findall(
        r"^(?:export function |    (?=step|sequence|read|sample))(\w+)\((.*)\) \{$", body, re.MULTILINE
    )
    assert len(calls) >= (6 if "text" in module.names else 1)
    for called, arguments in calls:
        (declared,) = re.findall(
            rf"^(?:export function |    ){called}\((.*)\): [^\n]+;$", types, re.MULTILINE
        )
        names = [each.partition(" = ")[0] for each in re.split(r", (?=\w)", arguments)]
        plain = re.sub(r"\{[^}]*\}", "", declared)
        assert [each.partition(":")[0].rstrip("?") for each in plain.split(", ")] == names
        assert [*re.findall(r"\?:", plain)] == ["?:"] * arguments.count(" = ")


def type_named(types, name):
    """The type of a name, without white space."""
    return re.sub(r"\s+", "", re.search(rf"^export type {name} = (.*);$", types, re.MULTILINE)[1])


def test_types_hold_the_columns_the_targets_and_the_classes():
    _, types = declarations(rich_forecaster("mask")[2])
    known = "holiday:string|number|null,warmth:number|null,"
    assert type_named(types, "FutureRow") == f"ArrayLike<number|string|null>|{{{known}}}"
    assert "colour:string|number|null,price:number|null" in type_named(types, "Row")
    point = "{point:number,low:number,high:number}"
    assert type_named(types, "Forecast") == f"{{y:{point},load:{point},}}"
    assert "forecast(rows: Row[], options?: {future?: FutureRow[], series?: Series}): Forecast[];" in types
    _, types = declarations(MODELS["classes"]())
    assert type_named(types, "Prediction") == '{class:"down"|"up",number:number,probabilities:number[],}'
    assert type_named(types, "Result") == "Prediction"
    _, types = declarations(MODELS["numbers"]())
    assert type_named(types, "Prediction") == "{label:number,}"
    parts = [np.arange(4.0)[:, None]] * 20
    stepwise = LabelledSequences.from_arrays(parts, [np.arange(4) % 2] * 20)
    _, types = declarations(predictor(stepwise, pooling="none"))
    assert type_named(types, "Result") == "Prediction[]"
    _, types = declarations(
        forecaster(series_table(time=np.datetime64("2024-01-01") + np.arange(40)), cell="ctrnn")
    )
    assert type_named(types, "Row").endswith("{y:number,time_step?:number|null,}")


@pytest.mark.parametrize("missing", ["reject", "forward", "mask"])
def test_null_is_a_type_of_columns_that_may_be_missing(missing):
    """Exactly the columns without the rule "error" take null, in objects and in arrays."""
    series = forecaster(series_table(x=np.arange(40.0) % 7, kind=["a", "b"] * 20), missing=missing)
    for model in (series, predictor(labelled(missing=missing == "mask")[0], missing=missing)):
        rules = exported_model(model).data.missing
        module, types = declarations(model)
        array, _, fields = type_named(types, "Row").partition("|{")
        given = dict(field.replace('"', "").split(":") for field in fields.strip("{,}").split(","))
        assert {name: "null" in kind.split("|") for name, kind in given.items()} == {
            name: rule != "error" for name, rule in rules.items()
        }
        assert ("null" in array) == (set(rules.values()) != {"error"})
        assert ("A missing value is null." in types) == ("null" in array)
        assert ("string" in array) == any(module.info["columns"][n]["texts"] for n in range(len(rules)))
        assert "    rows: number;" in types


def test_empty_lists_of_the_description_have_the_type_of_their_elements():
    _, types = declarations(forecaster({"y": series_table()["y"]}, loss="squared_error"))
    assert "columns: { name: string, texts: string[] }[];" in types
    assert re.search(r"    known_future: string\[\];\n.*levels: number\[\];", types, re.DOTALL)
    assert "never[]" not in types
    _, types = declarations(MODELS["aux"]())
    assert "inputs: { dt: number[] };" in types


@examples(10)
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6))
@pytest.mark.parametrize("suffix", ["", "*/", "}", '{"', "@type {"])
def test_names_of_columns_are_texts(name, suffix):
    """No name ends a comment or a type."""
    column = name.strip() + suffix or "x"
    module, types = declarations(forecaster({"y": series_table()["y"], column: np.arange(40.0) % 7}, ("y",)))
    clean = re.sub(r'"(?:[^"\\]|\\.)*"', '""', re.sub(r"/\*\*.*?\*/", "", types, flags=re.DOTALL))
    assert not re.search(r"[^\w\s{}()\[\]<>:;,|=?\"]", clean)
    assert clean.count("{") == clean.count("}")
    assert len(re.findall(r"^export ", clean, re.MULTILINE)) == len(module.names) + 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1, "b c": None}, '{ a: number, "b c": null }'),
        ([], "string[]"),
        ([{"texts": []}, {"texts": ["sun"]}], "{ texts: string[] }[]"),
        ([1, 2.5], "number[]"),
        ([True, "x"], "(boolean | string)[]"),
        ([{}, {"n": [0]}], "({} | { n: number[] })[]"),
    ],
)
def test_type_of_a_value(value, expected):
    assert type_of(value) == expected


@pytest.mark.parametrize(("name", "types"), [("m.js", "m.d.ts"), ("m.v2.mjs", "m.v2.d.mts")])
def test_declarations_have_the_name_of_the_module(name, types, tmp_path):
    model = MODELS["layer"]()
    made = zoo.export.to_js(model, tmp_path / name)
    assert (made.path, made.types) == (tmp_path / name, tmp_path / types)
    assert made.types.read_text().endswith("step(x: ArrayLike<number>): Float32Array;\n}\n")
    made.path.unlink()
    with pytest.raises(UsageError, match=f"{re.escape(types)} is there already"):
        zoo.export.to_js(model, tmp_path / name)
    assert not made.path.exists()
