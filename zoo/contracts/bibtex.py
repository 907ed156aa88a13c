"""A card as an entry of BibTeX.

Accents stay as they are, in UTF-8, which LaTeX reads since 2018 and biber always has; what LaTeX would obey
instead of print is escaped. Entries are ``@misc``: a card names no journal, without which ``@article`` is
refused. Titles stand in two pairs of braces, so that no style takes the capitals out of ``LSTM``.
"""

from __future__ import annotations

import re
import unicodedata

from zoo.contracts.card import UNPUBLISHED, Card

_ARXIV = re.compile(r"https?://(?:www\.)?arxiv\.org/(?:abs|pdf)/(?P<id>[\w./-]+?)(?:\.pdf)?", re.ASCII)
_DOI = re.compile(r"https?://(?:dx\.)?doi\.org/(?P<id>10\.\S+)")
_BETWEEN = re.compile(r",\s*(?:and\b|&)|\s(?:and|&)\s|,")
_SUFFIXES = ("jr", "jr.", "sr", "sr.", "ii", "iii", "iv")
_ESCAPED = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
# Letters that are no base letter with an accent, as Unicode sees them.
_PLAIN = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d"})


def entry(card: Card, name: str) -> str:
    """The entry of a card, without a newline at its end; ``note = {unpublished}`` if it is not published.

    Args:
        card: The card.
        name: Name of the member, with which the key ends: ``beck2024slstm``.
    """
    title = {"title": f"{{{_escaped(card.title)}}}"}
    rows = _reference(card, title) if card.published else {**title, "note": UNPUBLISHED}
    width = max(map(len, rows))
    lines = (f"  {field:<{width}} = {{{value}}}," for field, value in rows.items())
    return "\n".join([f"@misc{{{key(card, name)},", *lines, "}"])


def _reference(card: Card, title: dict[str, str]) -> dict[str, str]:
    """The fields of what is published, in order."""
    return {
        "author": " and ".join(map(_escaped, authors(card.authors))),
        **title,
        "year": str(card.year),
        **_identifiers(card.url),
        "url": _url(card.url),
    }


def key(card: Card, name: str) -> str:
    """Surname of the first author, year and name: ``beck2024slstm``; the name alone if unpublished."""
    if not card.published:
        return name
    first = authors(card.authors)[0]
    surname = [word for word in first.split() if word.lower() not in _SUFFIXES][-1:] or [first]
    return f"{_ascii(surname[0])}{card.year}{name}"


def authors(text: str) -> list[str]:
    """The authors of a card, one by one; ``et al.`` and its like as BibTeX's ``others``."""
    text = re.sub(r",?\s+(?:et\.? al\.?|and others)\s*$", ", others", " ".join(text.split()))
    found: list[str] = []
    for part in filter(None, map(str.strip, _BETWEEN.split(text))):
        if found and part.lower() in _SUFFIXES:
            found[-1] += f" {part}"
        else:
            found.append(part)
    return found or [text]


def _identifiers(url: str) -> dict[str, str]:
    """What an address says of a text's number at arXiv or its DOI."""
    if found := _ARXIV.fullmatch(url):
        return {"eprint": found["id"], "archiveprefix": "arXiv"}
    if found := _DOI.fullmatch(url):
        return {"doi": _url(found["id"])}
    return {}


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(letter, letter) for letter in " ".join(text.split()))


def _url(text: str) -> str:
    """An address; braces would end the field, and a percent sign is legal in a field that is one."""
    return text.strip().replace("{", "%7B").replace("}", "%7D").replace(" ", "%20")


def _ascii(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word.lower().translate(_PLAIN))
    return re.sub(r"[^a-z0-9]", "", letters)
