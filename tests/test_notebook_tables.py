"""Tables that notebooks show of cells, layers, models, runs and comparisons: all text escaped, no scripts."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

import zoo
from zoo.kernels import pure_python

HOSTILE = "<script>alert('x')</script> & \"quotes\""


class Table(HTMLParser):
    """The tags and the texts of a table."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.attributes = set(), [], set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.texts.append(data)


def table(shown):
    parsed = Table(shown._repr_html_())
    assert parsed.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert parsed.attributes <= {"style"}
    return parsed.texts


class Hostile(zoo.Cell):
    __doc__ = f"A cell: {HOSTILE}"

    W = zoo.Param("I", "H", help=HOSTILE)
    h = zoo.State("H")
    mode = zoo.Option(HOSTILE)

    def step(self, x, h):
        return h + x @ self.W


def test_cells():
    texts = table(zoo.get_cell("lstm", forget_bias=2.0))
    for text in ("Wx", "(I, 4H)", "parameter", "state", "forget_bias", "option", "2.0"):
        assert text in texts
    assert "zoneout_p" in table(zoo.modify("lstm", "zoneout"))
    assert HOSTILE in table(Hostile())
    assert repr(HOSTILE) in table(Hostile())


@pytest.mark.parametrize("name", zoo.list_cells())
def test_every_cell_has_a_table(name):
    assert set(zoo.get_cell(name).params) <= set(table(zoo.get_cell(name)))


def test_layers_and_models():
    rnn = zoo.Recurrent("gru", 3, 4)
    texts = table(rnn)
    for text in ("l0.Wx", "(3, 12)", "36", "in all", f"{rnn.theta.size}"):
        assert text in texts
    assert any("Recurrent(GRU()" in text for text in texts)
    assert "Why" in table(zoo.LanguageModel("ab", hidden_size=3))
    assert any("LSTM" in text for text in table(zoo.SequenceModel("lstm", 2, 3, 4)))
    assert any("script" in text for text in table(zoo.Recurrent(Hostile, 2, 3)))
    deep = table(zoo.Recurrent("vanilla", 3, 4, num_layers=20))
    assert "and 20 more" in deep
    assert "l19.bh" not in deep


def test_runs(tmp_path):
    with pure_python():
        run = zoo.train(task="adding", cell="gru", hidden=4, steps=2, eval_batches=1, out=tmp_path / "a&<b>")
    texts = table(run)
    assert {"gru", "adding", "2 of 2, finished"} <= {*texts}
    assert any(f"validation loss {run.best_loss:.4g}" in text for text in texts)
    assert any("a&<b>" in text for text in texts)
    (run.path / "config.json").write_text("{")
    damaged = table(zoo.Run(run.path))
    assert "problem" in damaged
    assert any("config.json" in text for text in damaged)
