"""The card: where a cell, optimizer or sampler comes from."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.arguments import shown
from zoo.errors import DefinitionError


@dataclass(frozen=True)
class Card:
    """Reference of a member of the zoo.

    Args:
        title: Title of the paper or text that introduced it.
        authors: Its authors, as one would cite them.
        year: Year of publication.
        url: Where it can be read, ``https://``.
        variant: Which of the published variants this is, in words.
        deviations: Where the code differs from the source, and why; empty when it does not.
        trainability: Why a language model of it, trained with default settings, is not expected to predict
            text better than a table of pairs of symbols does; empty when it is.

    Raises:
        DefinitionError: if a field is empty or of the wrong kind.
    """

    title: str
    authors: str
    year: int
    url: str
    variant: str = ""
    deviations: str = ""
    trainability: str = ""

    def __post_init__(self) -> None:
        """Check every field, so that a card in a registry is a complete one."""
        for field in ("title", "authors", "url"):
            if not isinstance(getattr(self, field), str) or not getattr(self, field).strip():
                raise DefinitionError(
                    f"zoo.Card: {field} is {shown(getattr(self, field))}; give a non-empty string."
                )
        who = f"zoo.Card {self.title!r}"
        if isinstance(self.year, bool) or not isinstance(self.year, int) or not 1600 <= self.year <= 2200:
            raise DefinitionError(f"{who}: year is {shown(self.year)}; give it as an integer, as in 1997.")
        if not self.url.startswith(("https://", "http://")):
            raise DefinitionError(f"{who}: url is {shown(self.url)}; give one that starts with https://.")
        for field in ("variant", "deviations", "trainability"):
            if not isinstance(getattr(self, field), str):
                raise DefinitionError(
                    f"{who}: {field} is {shown(getattr(self, field))}; say it in words, or leave it out."
                )
