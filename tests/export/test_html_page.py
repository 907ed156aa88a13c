"""The web page of a language model: its structure, its script in Node, and symbols that could break it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from html_pages import Page, check_labels, check_page, run_script
from hypothesis import given
from hypothesis import strategies as st
from js_modules import NODE
from random_trials import examples

import zoo
from zoo.data import WordVocabulary
from zoo.errors import UsageError
from zoo.export.exported_model import exported_model
from zoo.export.html_page import html_page

# The fields before the script of the page, which disables a button and chooses a state.
BEFORE = """
document.getElementById("stop").disabled = true;
const element_state = document.getElementById("state");
element_state.append = (option) => { element_state.value ||= option.value; };
"""
GENERATE = 'set("prompt", PROMPT); await press("form", "submit");'
ONE_BY_ONE = 'set("prompt", PROMPT); for (let n = 0; n < 5; n++) await press("step");'
RUN = """
const set = (id, value) => { document.getElementById(id).value = value; };
const press = async (id, name = "click") => {
    await document.getElementById(id).listeners[name]({ preventDefault() {} });
    do await new Promise((resolve) => setTimeout(resolve, 1));
    while (!document.getElementById("stop").disabled);
};
ACTIONS
const text_of_id = (id) => document.getElementById(id).textContent;
console.log(JSON.stringify({
    text: text_of_id("text"), problem: text_of_id("problem"), status: text_of_id("status"),
    facts: text_of_id("facts"), equations: text_of_id("equations"),
    next: document.getElementById("next").children.length,
    backgrounds: document.getElementById("text").children.map((span) => span.style.backgroundColor),
}));
"""


def page_of(model, title="demo", int8=False, loss=None):
    text, _ = html_page(exported_model(model), int8, title, loss)
    return Page(text)


def small_model(symbols="helo wrd", seed=3):
    model = zoo.LanguageModel(symbols, cell="gru", hidden_size=4, dtype="float64", seed=seed)
    model.theta = np.random.default_rng(0).normal(0, 1, model.theta.shape)
    return model


TAGS = [tag for tag, _ in page_of(small_model()).tags]


@examples(15)
@given(
    symbols=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "</script>",
                    "</script ",
                    "<!--<script>",
                    "]]>",
                    "</style>",
                    "\u2028",
                    "$title",
                    "&lt;",
                    "${1}",
                ]
            ),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3),
        ),
        min_size=2,
        max_size=9,
        unique=True,
    ),
    title=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9),
)
def test_symbols_and_title_are_text(symbols, title):
    page = page_of(small_model(symbols), f"{title}</title><script>")
    check_page(page, TAGS)
    assert page.text("script").isascii()
    assert not re.search(r"</script|<!--", page.text("script").partition("export class Model")[2])


def run_page(page, folder, prompt, actions=GENERATE, **values):
    """The content of the page after some actions, by default the button Generate."""
    fields = {"temperature": "0.7", "length": "25", "seed": "5", "unit": "1", "state": "", **values}
    run = RUN.replace("ACTIONS", actions.replace("PROMPT", json.dumps(prompt)))
    return run_script(page, folder, BEFORE, run, **fields)


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize(("symbols", "prompt"), [("helo wrd", "he"), ([*"aé→".encode(), 10], "é→")])
def test_page_generates_the_text_of_python(symbols, prompt, tmp_path):
    model = small_model(symbols)
    shown = run_page(page_of(model, loss=1.25), tmp_path, prompt)
    sampler = zoo.get_sampler("temperature", temperature=0.7)
    expected = model.sample(prompt, 25, sampler, seed=5)
    # A character of several bytes is shown when it is complete, and the last one may not be.
    assert shown["text"] == expected.removesuffix("\ufffd") or shown["text"] == expected
    assert (shown["problem"], shown["status"]) == ("", "Added 25 symbols.")
    assert len(shown["backgrounds"]) == 25 + len(model.vocab.encode(prompt))
    assert all(re.fullmatch(r"rgb\(\d+ \d+ \d+ / 0\.\d{3}\)", each) for each in shown["backgrounds"])
    assert shown["next"] == len(model.vocab)
    assert "Kyunghyun Cho" in shown["facts"]
    assert "1.2500 nats per" in shown["facts"]
    assert "h' = (1 - z) * n + z * h" in shown["equations"]


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_page_shows_errors(tmp_path):
    shown = run_page(page_of(small_model()), tmp_path, "xyz")
    assert shown["problem"] == ('not among the 8 symbols of the vocabulary: "x", "y", "z"; leave them out.')
    assert shown["text"] == ""
    shown = run_page(page_of(small_model()), tmp_path, "he" * 2501)
    assert shown["problem"] == "the prompt has 5002 symbols; expected at most 5000."


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("actions", [GENERATE, ONE_BY_ONE], ids=["at once", "one by one"])
@pytest.mark.parametrize("prompt", ["he", ""])
def test_first_click_adds_a_symbol(prompt, actions, tmp_path):
    """An empty prompt begins with a random symbol, which counts. A seed may be above 2**53."""
    model, seed = small_model(), 2**60 + 1
    shown = run_page(page_of(model), tmp_path, prompt, actions, length="5", seed=str(seed))
    sampler = zoo.get_sampler("temperature", temperature=0.7)
    assert shown["text"] == model.sample(prompt, 5, sampler, seed=seed)
    assert shown["problem"] == ""


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize(("field", "value"), [("prompt", "wo"), ("seed", "6")])
def test_text_begins_anew_with_another_prompt_or_seed(field, value, tmp_path):
    actions = f'{ONE_BY_ONE} set("{field}", "{value}"); await press("step"); await press("step");'
    model, fields = small_model(), {"prompt": "he", "seed": 5, field: value}
    shown = run_page(page_of(model), tmp_path, "he", actions)
    sampler = zoo.get_sampler("temperature", temperature=0.7)
    assert shown["text"] == model.sample(fields["prompt"], 2, sampler, seed=int(fields["seed"]))
    assert shown["status"] == "Added 1 symbol."


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("prompt", "hex", 'not among the 8 symbols of the vocabulary: "x"; leave them out.'),
        ("seed", "", 'Seed is ""; expected an integer from 0 on.'),
        ("seed", "-1", 'Seed is "-1"; expected an integer from 0 on.'),
        ("length", "", 'Symbols is ""; expected an integer from 1 on.'),
        ("length", "0", 'Symbols is "0"; expected an integer from 1 on.'),
    ],
)
def test_invalid_fields_keep_the_text(field, value, message, tmp_path):
    actions = f'{GENERATE} set("{field}", "{value}"); await press("form", "submit");'
    shown = run_page(page_of(small_model()), tmp_path, "he", actions)
    assert (shown["problem"], len(shown["backgrounds"])) == (message, 27)


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_unknown_words_are_named(tmp_path):
    model = zoo.LanguageModel(WordVocabulary(["<unk>", "a", " b"]), hidden_size=2)
    shown = run_page(page_of(model), tmp_path, "a b c <d> c", length="1")
    assert shown["status"] == 'Unknown words of the prompt: "c", "<", "d", ">". Added 1 symbol.'


def test_page_has_labels_for_all_controls():
    check_labels(page_of(small_model()))


@pytest.mark.parametrize("int8", [False, True])
def test_loss_has_the_weights_that_it_was_measured_with(int8):
    script = page_of(small_model(), int8=int8, loss=1.25).text("script")
    assert ("validation loss (float weights)" in script) == int8


@pytest.mark.parametrize("weights", ["float", "int8"])
def test_file(weights, tmp_path):
    made = zoo.export.to_html(small_model(), tmp_path / "a&b.html", weights=weights)
    text = (tmp_path / "a&b.html").read_text(encoding="utf-8")
    assert made.bytes == len(text.encode())
    assert "<title>a&amp;b</title>" in text
    check_page(Page(text), TAGS)
    assert ("int8" in text.partition("const page = ")[2].partition("\n")[0]) == (weights == "int8")


@pytest.mark.usefixtures("plain_python")
def test_page_of_a_run_names_its_loss(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = zoo.train(
        data="builtin:hello", cell="vanilla", hidden=2, steps=2, seq=2, batch=1, out="run", threads=1
    )
    zoo.export.to_html(zoo.Run("run"), "page.html", title="Hello")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>Hello</h1>" in text
    assert (run.best_loss is None) == ("validation loss" not in text)


@pytest.mark.parametrize(
    ("model", "name", "options", "message"),
    [
        (
            zoo.Recurrent("gru", 3, 4),
            "m.html",
            {},
            "a web page is for a language model or a model of a table",
        ),
        (small_model(), "m.js", {}, r"expected a name that ends with .html or .htm"),
        (small_model(), "m.html", {"title": 3}, "title is 3; expected a text that is not empty"),
        (small_model(), "m.html", {"title": ""}, "title is ''; expected a text that is not empty"),
        (small_model(), "m.html", {"title": " \n"}, "title is .*; expected a text that is not empty"),
        (small_model(), "m.html", {"example": "rows.csv"}, "`example` is for a model of a table; leave it"),
        (small_model(), "m.html", {"weights": "int4"}, "weights is 'int4'"),
    ],
)
def test_invalid_arguments_raise(model, name, options, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        zoo.export.to_html(model, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_existing_file_is_kept(tmp_path):
    (tmp_path / "m.html").write_text("mine")
    with pytest.raises(UsageError, match=r"m\.html is there already"):
        zoo.export.to_html(small_model(), tmp_path / "m.html")
    assert (tmp_path / "m.html").read_text() == "mine"
