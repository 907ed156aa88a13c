"""Tables of text: fitted to a width, and as plain text, Markdown, HTML, CSV and LaTeX."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zoo.tables import TextTable

WIDE = TextTable(
    "Cells",
    ("cell", "long words", "n", "x|y"),
    (("gru", "some", "12", "a"), ("lstm", "a few", "3", "b|c")),
    (2,),
    "How to read it.",
    (1, 3),
)


def test_plain():
    assert WIDE.plain_text().splitlines() == [
        "Cells",
        "cell  long words   n  x|y",
        "gru   some        12  a",
        "lstm  a few        3  b|c",
        "How to read it.",
    ]
    assert WIDE.width == 25


def test_markdown():
    assert WIDE.markdown_section().splitlines() == [
        "### Cells",
        "",
        "How to read it.",
        "",
        "| cell | long words | n | x\\|y |",
        "|---|---|--:|---|",
        "| gru | some | 12 | a |",
        "| lstm | a few | 3 | b\\|c |",
    ]


def test_html():
    html = WIDE.html()
    assert html.startswith("<table><caption>Cells. How to read it.</caption><thead><tr>")
    assert '<th style="text-align: right">n</th>' in html
    assert '<td style="text-align: left">b|c</td>' in html
    assert "&lt;b&gt;" in TextTable("", ("a",), (("<b>",),)).html()


def test_csv():
    assert TextTable("", ("a", "b"), (("1", 'x,"y"'),)).csv() == 'a,b\n1,"x,""y"""\n'


def test_latex():
    table = TextTable(
        "Runs", ("cell", "acc_1"), (("a&b", "0.9 ± 0.1"), ("50 %", "–"), ("\\x", "1")), (1,), "100 %"
    )
    assert table.latex().splitlines() == [
        "% Runs",
        "% 100 %",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"cell & acc 1 \\",
        r"\midrule",
        r"a\&b & 0.9 $\pm$ 0.1 \\",
        r"50 \% & -- \\",
        r"\textbackslash{}x & 1 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_select_keeps_alignment():
    table = WIDE.select([0, 2])
    assert (table.headings, table.right, table.spare) == (("cell", "n"), (1,), ())
    assert table.lines() == ["cell   n", "gru   12", "lstm   3"]


def test_fit_drops_spare_columns():
    assert WIDE.fit(25) is WIDE
    narrow = WIDE.fit(24)
    assert (narrow.headings, narrow.right, narrow.spare) == (("cell", "n", "x|y"), (1,), (2,))
    assert narrow.rows == (("gru", "12", "a"), ("lstm", "3", "b|c"))
    assert WIDE.fit(10).headings == ("cell", "n")
    assert WIDE.fit(1).headings == ("cell", "n"), "the others are needed"


@given(st.lists(st.integers(1, 40), min_size=2, max_size=9), st.integers(1, 120))
def test_blocks_have_all_columns_in_order(widths, width):
    headings = tuple(letter * size for letter, size in zip("abcdefghi", widths, strict=False))
    rows = (tuple("x" for _ in headings), tuple("y" for _ in headings))
    table = TextTable("t", headings, rows, right=(1,), spare=(len(widths) - 1,), legend="l", marks="m")
    blocks = table.blocks(width)
    assert sum((block.headings[1:] for block in blocks), ()) == headings[1:]
    assert [block.title for block in blocks] == ["t", *[""] * (len(blocks) - 1)]
    assert [block.legend + block.marks for block in blocks] == [*[""] * (len(blocks) - 1), "lm"]
    sizes = [len(block.headings) for block in blocks]
    assert max(sizes) - min(sizes) <= 1
    for block in blocks:
        assert block.headings[0] == headings[0]
        assert [len(row) for row in block.rows] == [len(block.headings)] * 2
        assert block.width <= width or len(block.headings) == 2
    assert (len(blocks) == 1) is (table.width <= width or len(headings) == 2)


@given(st.lists(st.lists(st.sampled_from(["", "value"]), min_size=5, max_size=5), min_size=1, max_size=4))
def test_blocks_omit_rows_without_values(cells):
    rows = tuple((f"row {number}", *row) for number, row in enumerate(cells))
    blocks = TextTable("", ("", *"abcde"), rows).blocks(14)
    assert len(blocks) > 1
    shown = {
        (row[0], name): cell
        for block in blocks
        for row in block.rows
        for name, cell in zip(block.headings[1:], row[1:], strict=True)
    }
    values = {(row[0], name): cell for row in rows for name, cell in zip("abcde", row[1:], strict=True)}
    assert {key: cell for key, cell in shown.items() if cell} == {k: v for k, v in values.items() if v}
    assert all(any(row[1:]) for block in blocks for row in block.rows)
