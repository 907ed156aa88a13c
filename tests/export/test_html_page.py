"""The web page of a language model: its structure, its script in Node, and symbols that could break it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from js_modules import NODE
from random_trials import examples

import zoo
from zoo.data import WordVocabulary
from zoo.errors import UsageError
from zoo.export.exported_model import exported_model
from zoo.export.html_page import html_page

# A document for the script of a page: elements by their ids, with text, children and listeners.
DOCUMENT = """
class Element {
    constructor() {
        Object.assign(this, { children: [], style: {}, dataset: {}, value: "", text: "", listeners: {} });
    }
    set textContent(text) { this.text = text; this.children = []; }
    get textContent() { return this.text + this.children.map((child) => child.textContent).join(""); }
    append(...nodes) { this.children.push(...nodes); }
    replaceChildren(...nodes) { this.children = nodes; }
    setAttribute(name, value) { this[name] = value; }
    addEventListener(name, listener) { this.listeners[name] = listener; }
    getContext() { return { clearRect() {}, fillRect() {}, strokeRect() {} }; }
}
const elements = {}, made = [];
globalThis.document = {
    getElementById: (id) => elements[id] ??= new Element(),
    createElement: (tag) => { const node = new Element(); made.push([tag, node]); return node; },
    querySelectorAll: (tag) => made.filter(([name]) => name === tag).map(([, node]) => node),
};
for (const [id, value] of Object.entries(VALUES)) document.getElementById(id).value = value;
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


class Page(HTMLParser):
    """The elements of a page: tags with their attributes, and the text of styles and scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("style", "script") and data.strip():
            self.texts.append((self.tags[-1][0], data))

    def text(self, tag):
        return "".join(text for name, text in self.texts if name == tag)


def page_of(model, title="demo", int8=False, loss=None):
    text, _ = html_page(exported_model(model), int8, title, loss)
    return Page(text)


def small_model(symbols="helo wrd", seed=3):
    model = zoo.LanguageModel(symbols, cell="gru", hidden_size=4, dtype="float64", seed=seed)
    model.theta = np.random.default_rng(0).normal(0, 1, model.theta.shape)
    return model


TAGS = [tag for tag, _ in page_of(small_model()).tags]


def check_page(page):
    """The page has its own elements and no other, and a policy for its own script and style alone."""
    assert [tag for tag, _ in page.tags] == TAGS
    assert not [attrs for _, attrs in page.tags if {"src", "href", "onclick", "style"} & set(attrs)]
    (policy,) = (attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.text(tag).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")


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
    check_page(page)
    assert page.text("script").isascii()
    assert not re.search(r"</script|<!--", page.text("script").partition("export class Model")[2])


def run_page(page, folder, prompt, actions=GENERATE, **values):
    """The content of the page after some actions, by default the button Generate."""
    fields = {"temperature": "0.7", "length": "25", "seed": "5", "unit": "1", "state": "", **values}
    document = DOCUMENT.replace("VALUES", json.dumps(fields))
    run = RUN.replace("ACTIONS", actions.replace("PROMPT", json.dumps(prompt)))
    script = f"{document}\n{page.text('script')}\n{run}"
    (folder / "page.mjs").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [str(NODE), "page.mjs"], cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


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
    page, labelled = page_of(small_model()), set()
    for tag, attrs in page.tags:
        if tag == "label" and "for" in attrs:
            labelled.add(attrs["for"])
    positions = [tag for tag, _ in page.tags]
    for position, (tag, attrs) in enumerate(page.tags):
        if tag in ("input", "select", "textarea"):
            inside = "label" in positions[max(0, position - 2) : position]
            assert attrs["id"] in labelled or inside
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'by_id\("([\w-]+)"\)', page.text("script"))) <= set(ids)


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
    check_page(Page(text))
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
        (zoo.Recurrent("gru", 3, 4), "m.html", {}, "a web page is for a language model"),
        (small_model(), "m.js", {}, r"expected a name that ends with .html or .htm"),
        (small_model(), "m.html", {"title": 3}, "title is 3; expected a text that is not empty"),
        (small_model(), "m.html", {"title": ""}, "title is ''; expected a text that is not empty"),
        (small_model(), "m.html", {"title": " \n"}, "title is .*; expected a text that is not empty"),
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
