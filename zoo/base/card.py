"""The card: the source of a component, also as an entry for BibTeX.

Accents stay as UTF-8, which LaTeX reads since 2018 and biber always did. LaTeX's special characters are
escaped. Entries are ``@misc``, since ``@article`` requires a journal and a card has none. Titles have two
pairs of braces, so that no style removes the capitals of ``LSTM``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from zoo.arguments import short_repr
from zoo.errors import DefinitionError
from zoo.field_repr import one_line_repr
from zoo.tables import escape_latex

_ARXIV = re.compile(r"https?://(?:www\.)?arxiv\.org/(?:abs|pdf)/(?P<id>[\w./-]+?)(?:\.pdf)?", re.ASCII)

_DOI = re.compile(r"https?://(?:dx\.)?doi\.org/(?P<id>10\.\S+)")

_AUTHOR_SEPARATOR = re.compile(r",\s*(?:and\b|&)|\s(?:and|&)\s|,")

_SMALL_WORDS = ("a", "an", "the", "on", "in", "of", "for", "to", "with", "from")

_SUFFIXES = ("jr", "jr.", "sr", "sr.", "ii", "iii", "iv")

_TRANSLITERATION = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d"}
)


def bibtex_entry(card: Card, name: str) -> str:
    """The BibTeX entries of a card, without a final newline; ``note = {unpublished}`` if it has no reference.

    Args:
        card: The card.
        name: Name of the component, the key if it is not published.
    """
    title = {"title": f"{{{_one_line(card.title)}}}"}
    rows = _reference_fields(card, title) if card.published else {**title, "note": UNPUBLISHED}
    width = max(map(len, rows))
    lines = (f"  {key:<{width}} = {{{value}}}," for key, value in rows.items())
    entry = "\n".join([f"@misc{{{bibtex_key(card, name)},", *lines, "}"])
    return "\n\n".join([entry, *(bibtex_entry(other, name) for other in card.also)])


def _reference_fields(card: Card, title: dict[str, str]) -> dict[str, str]:
    return {
        "author": " and ".join(map(_one_line, split_authors(card.authors))),
        **title,
        "year": str(card.year),
        **_identifiers(card.url),
        "url": _url(card.url),
    }


def derived_card(title: str, source: str, card: Card) -> Card:
    """The card of an unpublished class derived from a published component, with the papers to cite.

    Args:
        title: The name of the class.
        source: The component, ``cell 'lstm'``.
        card: The card of the component.
    """
    papers = replace(card, also=()), *card.also
    variant = f"derived from the {source}: {card.citation()} {card.url}"
    return Card(title, variant=variant, scope=card.scope, block=card.block, also=papers, base=source)


def bibtex_key(card: Card, name: str) -> str:
    """Surname of the first author, year and first word of the title: ``beck2024xlstm``.

    A paper has one key, whichever component cites it. Articles and prepositions at the start of a title do
    not count, and the version of a preprint follows: ``cho2014learningv1``. The key of a card that is not
    published is the name.
    """
    if not card.published:
        return name
    first = surname(split_authors(card.authors)[0])
    words = [word for word in map(_ascii, re.findall(r"\w+", card.title)) if word not in ("", *_SMALL_WORDS)]
    version = re.search(r"v\d+$", _identifiers(card.url).get("eprint", ""))
    return f"{_ascii(first)}{card.year}{(words or [name])[0]}{version[0] if version else ''}"


def unique_entries(texts: Iterable[str]) -> list[str]:
    """Split texts of BibTeX entries, which an empty line separates, and drop repeated ones."""
    return list(dict.fromkeys(entry for text in texts for entry in text.split("\n\n")))


def split_authors(text: str) -> list[str]:
    """Split the authors of a card; ``et al.`` and the like become BibTeX's ``others``."""
    text = re.sub(r",?\s+(?:et\.? al\.?|and others)\s*$", ", others", " ".join(text.split()))
    authors: list[str] = []
    for part in filter(None, map(str.strip, _AUTHOR_SEPARATOR.split(text))):
        if authors and part.lower() in _SUFFIXES:
            authors[-1] += f" {part}"
        else:
            authors.append(part)
    return authors or [text]


def surname(author: str) -> str:
    """The last word of a name that is not a suffix such as ``Jr.``."""
    words = [word for word in author.split() if word.lower() not in _SUFFIXES]
    return words[-1] if words else author


def _identifiers(url: str) -> dict[str, str]:
    """The arXiv number or DOI in a URL."""
    if match := _ARXIV.fullmatch(url):
        return {"eprint": match["id"], "archiveprefix": "arXiv"}
    if match := _DOI.fullmatch(url):
        return {"doi": _url(match["id"])}
    return {}


def _one_line(text: str) -> str:
    return escape_latex(" ".join(text.split()))


def _url(text: str) -> str:
    """Escape a URL: braces would end the field; a percent sign is legal in a URL field."""
    return text.strip().replace("{", "%7B").replace("}", "%7D").replace(" ", "%20")


def _ascii(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word.lower().translate(_TRANSLITERATION))
    return re.sub(r"[^a-z0-9]", "", letters)


SCOPES = {
    "recurrence": "the recurrence alone",
    "mixer": "the recurrence with the projections, gates and norms around it",
}

UNPUBLISHED = "unpublished"

TEMPLATE = "zoo.Card(title=..., authors=..., year=..., url=...)"


@one_line_repr
@dataclass(frozen=True)
class Card:
    """The reference of a component.

    A card has authors, year and url, or none of the three if the component is not published.

    Args:
        title: Title of the paper that introduced it.
        authors: Its authors, as in a citation.
        year: Year of publication.
        url: Its address, ``https://``.
        variant: The published version that the code computes, or the component from which it is derived.
        deviations: Where the code differs from the source, and why; empty if it does not.
        history: Where the component comes from, what it changed and what came after it, in two to four
            sentences.
        when_to_use: When to use it and when not, in two to four sentences.
        trainability: Why a language model with default settings is not expected to predict text better than
            a bigram model; empty if it is.
        scope: The part of the paper's network: ``"recurrence"`` for the recurrence alone, or ``"mixer"`` for
            the recurrence with the projections, gates and norms around it.
        block: The registered block that is nearest to the one of the paper, by name; empty for none.
        also: Cards of other papers to cite.
        related: Names of related components, each with the rest of a sentence that begins with the name:
            ``{"gru": "has no memory cell."}``.
        base: The published component of an unpublished class that inherits from it, ``cell 'lstm'``, which
            `variant` then names, too; empty for other cards.

    Raises:
        DefinitionError: if a field is empty or has the wrong type.
    """

    title: str
    authors: str = ""
    year: int | None = None
    url: str = ""
    variant: str = ""
    deviations: str = ""
    history: str = ""
    when_to_use: str = ""
    trainability: str = ""
    scope: str = "recurrence"
    block: str = ""
    also: tuple[Card, ...] = ()
    related: Mapping[str, str] = field(default_factory=dict, hash=False)
    base: str = ""

    def __post_init__(self) -> None:
        """Check every field, so that every card in a registry is complete."""
        if not isinstance(self.title, str) or not self.title.strip():
            raise DefinitionError(f"zoo.Card: title is {short_repr(self.title)}; give a non-empty string.")
        owner = f"zoo.Card {self.title!r}"
        for name in ("variant", "deviations", "history", "when_to_use", "trainability", "block", "base"):
            if not isinstance(getattr(self, name), str):
                raise DefinitionError(
                    f"{owner}: {name} is {short_repr(getattr(self, name))}; say it in words, or leave it out."
                )
        if not isinstance(self.also, tuple) or not all(isinstance(card, Card) for card in self.also):
            raise DefinitionError(
                f"{owner}: also is {short_repr(self.also)}; give a tuple of zoo.Card, or leave it out."
            )
        related = self.related.items() if isinstance(self.related, Mapping) else [(None, None)]
        if not all(isinstance(text, str) and text.strip() for pair in related for text in pair):
            raise DefinitionError(
                f"{owner}: related is {short_repr(self.related)}; give names, each with the rest of a "
                f'sentence, as in {{"gru": "has no memory cell."}}, or leave it out.'
            )
        if self.scope not in list(SCOPES):
            raise DefinitionError(
                f"{owner}: scope is {short_repr(self.scope)}; give one of {', '.join(SCOPES)}."
            )
        if self.published:
            self._check_reference(owner)

    @property
    def published(self) -> bool:
        """Whether it has authors, year and url."""
        is_default = (isinstance(value, str) and not value for value in (self.authors, self.url))
        return self.year is not None or not all(is_default)

    def citation(self) -> str:
        """Authors, year and title, or the title and ``unpublished``."""
        if not self.published:
            return f"{self.title}, {UNPUBLISHED}."
        return f"{self.authors} ({self.year}). {self.title}."

    def _check_reference(self, owner: str) -> None:
        for name in ("authors", "url"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name).strip():
                raise DefinitionError(
                    f"{owner}: {name} is {short_repr(getattr(self, name))}; give a non-empty string, or "
                    f"leave out authors, year and url if it is not published."
                )
        if isinstance(self.year, bool) or not isinstance(self.year, int) or not 1600 <= self.year <= 2200:
            raise DefinitionError(
                f"{owner}: year is {short_repr(self.year)}; give it as an integer, as in 1997."
            )
        if not self.url.startswith(("https://", "http://")):
            raise DefinitionError(
                f"{owner}: url is {short_repr(self.url)}; give one that starts with https://."
            )
