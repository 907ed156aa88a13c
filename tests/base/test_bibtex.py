"""Cards as entries of BibTeX."""

from __future__ import annotations

import re
from typing import Any

import pytest

import zoo
from zoo.base.card import bibtex_entry, bibtex_key, split_authors, unique_entries
from zoo.errors import DefinitionError

CARD = {"title": "T", "authors": "Ada Lovelace", "year": 1843, "url": "https://example.org"}


def field(name: str, **change: object) -> str | None:
    match = re.search(
        rf"^  {name} += \{{(.*)\}},$", bibtex_entry(zoo.Card(**(CARD | change)), "x"), re.MULTILINE
    )
    return match and match[1]


def test_entry() -> None:
    assert (
        zoo.get_cell("clockwork").bibtex()
        == """@misc{koutnik2014clockwork,
  author        = {Jan Koutník and Klaus Greff and Faustino Gomez and Jürgen Schmidhuber},
  title         = {{A Clockwork RNN}},
  year          = {2014},
  eprint        = {1402.3511},
  archiveprefix = {arXiv},
  url           = {https://arxiv.org/abs/1402.3511},
}"""
    )


def test_unpublished_card_has_title_only() -> None:
    text = bibtex_entry(zoo.Card("An & idea"), "my_cell")
    assert text == "@misc{my_cell,\n  title = {{An \\& idea}},\n  note  = {unpublished},\n}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jeffrey L. Elman", ["Jeffrey L. Elman"]),
        ("Hochreiter & Schmidhuber", ["Hochreiter", "Schmidhuber"]),
        ("A. Bee, C. Dee and E. Eff", ["A. Bee", "C. Dee", "E. Eff"]),
        ("A. Bee, C. Dee, and E. Eff", ["A. Bee", "C. Dee", "E. Eff"]),
        ("Guy Steele, Jr., Ann Other", ["Guy Steele Jr.", "Ann Other"]),
        ("Ann Other et al.", ["Ann Other", "others"]),
        ("Ann Other, Bob Andersen, and others", ["Ann Other", "Bob Andersen", "others"]),
        ("Alexandra Sandy", ["Alexandra Sandy"]),
        (" Ann\n  Other ", ["Ann Other"]),
        ("&", ["&"]),
    ],
)
def test_authors_one_by_one(text: str, expected: list[str]) -> None:
    assert split_authors(text) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("Jan Koutník", "koutnik1843t"),
        ("Haşim Sak", "sak1843t"),
        ("Jos van der Westhuizen, A. B.", "westhuizen1843t"),
        ("Guy Steele, Jr.", "steele1843t"),
        ("Anna Weiß-Øre", "weissore1843t"),
        ("李明", "1843t"),
    ],
)
def test_bibtex_key(names: str, expected: str) -> None:
    assert bibtex_key(zoo.Card(**(CARD | {"authors": names})), "x") == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"title": "On the Long-Term Memory"}, "lovelace1843long"),
        ({"title": "Über “Netze”"}, "lovelace1843uber"),
        ({"title": "记忆"}, "lovelace1843x"),
        ({"url": "https://arxiv.org/abs/1406.1078v3"}, "lovelace1843tv3"),
        ({"url": "https://arxiv.org/abs/1406.1078"}, "lovelace1843t"),
    ],
)
def test_key_has_first_word_of_title_and_version(change: dict[str, str], expected: str) -> None:
    assert bibtex_key(zoo.Card(**(CARD | change)), "x") == expected


def test_papers_of_the_same_author_and_year_have_different_keys() -> None:
    keys = re.findall(r"^@misc\{(.*),$", zoo.get_block("deltanet").bibtex(), re.MULTILINE)
    assert keys == ["yang2024parallelizing", "yang2024gated"]


def test_teams_are_not_part_of_a_name() -> None:
    assert "author        = {Yu Zhang and Zongyu Lin" in zoo.get_cell("kda").bibtex()


@pytest.mark.parametrize(
    ("url", "eprint", "doi"),
    [
        ("https://arxiv.org/abs/1406.1078v3", "1406.1078v3", None),
        ("https://arxiv.org/pdf/1406.1078.pdf", "1406.1078", None),
        ("http://www.arxiv.org/abs/cs/9901001", "cs/9901001", None),
        ("https://doi.org/10.1207/s15516709cog1402_1", None, "10.1207/s15516709cog1402_1"),
        ("https://dx.doi.org/10.1016/0364-0213(90)90002-E", None, "10.1016/0364-0213(90)90002-E"),
        ("https://example.org/arxiv.org/abs/1406.1078", None, None),
        ("https://openreview.net/forum?id=a_b&c=1%2F2", None, None),
    ],
)
def test_arxiv_and_doi_are_parsed_from_url(url: str, eprint: str, doi: str) -> None:
    assert (field("eprint", url=url), field("doi", url=url), field("url", url=url)) == (eprint, doi, url)
    assert field("archiveprefix", url=url) == (eprint and "arXiv")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Long Short-Term Memory", "{Long Short-Term Memory}"),
        ("50% of R&D_1 costs $5 #1", r"{50\% of R\&D\_1 costs \$5 \#1}"),
        ("a } b { c \\ d ~ ^", r"{a \} b \{ c \textbackslash{} d \textasciitilde{} \textasciicircum{}}"),
        ("two\nlines", "{two lines}"),
        ("Über", "{Über}"),
    ],
)
def test_latex_commands_are_escaped(title: str, expected: str) -> None:
    assert field("title", title=title) == expected


def test_url_cannot_end_its_bibtex_field() -> None:
    assert field("url", url="https://example.org/}{") == "https://example.org/%7D%7B"


KINDS = "block cell constraint modifier optimizer sampler task tracker"


def test_every_reference_is_well_formed_and_every_paper_has_one_entry() -> None:
    names = [(kind, name) for kind in KINDS.split() for name in getattr(zoo, f"list_{kind}s")()]
    entries = unique_entries(getattr(zoo, f"get_{kind}")(name).bibtex() for kind, name in names)
    published = [text for text in entries if "note  = {unpublished}" not in text]
    assert len({text.partition(",")[0] for text in entries}) == len(entries) > 100
    assert len({re.search("url += (.*)", text)[1] for text in published}) == len(published)  # type: ignore[index]
    for text in published:
        assert re.fullmatch(r"@misc\{[a-z]+\d{4}\w+,\n(  [a-z]+ += \{.+\},\n)+\}", text), text
        assert text.count("{") == text.count("}")


def test_card_cites_other_papers_too() -> None:
    first, second = bibtex_entry(zoo.get_cell("lstm").card, "lstm").split("\n\n")
    assert first.startswith("@misc{gers2000learning,")
    assert second.startswith("@misc{hochreiter1997long,")


@pytest.mark.parametrize(
    "fields", [{"also": "a paper"}, {"also": ("a paper",)}, {"related": ["gru"]}, {"related": {"gru": ""}}]
)
def test_invalid_other_papers_and_related_cells_raise(fields: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=next(iter(fields))):
        zoo.Card("A title", **fields)
