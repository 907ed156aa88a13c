"""Tables of texts: fitted to a width, as plain text, as Markdown."""

from __future__ import annotations

from zoo.tables import TextTable, markdown_section, plain_text

WIDE = TextTable(
    "Cells",
    ("cell", "long words", "n", "x|y"),
    (("gru", "some", "12", "a"), ("lstm", "a few", "3", "b|c")),
    (2,),
    "How to read it.",
    (1, 3),
)


def test_plain():
    assert plain_text(WIDE).splitlines() == [
        "Cells",
        "cell  long words   n  x|y",
        "gru   some        12  a",
        "lstm  a few        3  b|c",
        "How to read it.",
    ]
    assert WIDE.width == 25


def test_markdown():
    assert markdown_section(WIDE).splitlines() == [
        "### Cells",
        "",
        "How to read it.",
        "",
        "| cell | long words | n | x\\|y |",
        "|---|---|--:|---|",
        "| gru | some | 12 | a |",
        "| lstm | a few | 3 | b\\|c |",
    ]


def test_fit_drops_spare_columns():
    assert WIDE.fit(25) is WIDE
    narrow = WIDE.fit(24)
    assert (narrow.headings, narrow.right, narrow.spare) == (("cell", "n", "x|y"), (1,), (2,))
    assert narrow.rows == (("gru", "12", "a"), ("lstm", "3", "b|c"))
    assert WIDE.fit(10).headings == ("cell", "n")
    assert WIDE.fit(1).headings == ("cell", "n"), "the others are needed"
