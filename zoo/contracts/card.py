"""The card: where a cell, optimizer or sampler comes from."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.arguments import short_repr
from zoo.errors import DefinitionError

SCOPES = {
    "recurrence": "the recurrence alone",
    "mixer": "the recurrence with the projections, gates and norms around it",
}
UNPUBLISHED = "unpublished"
TEMPLATE = "zoo.Card(title=..., authors=..., year=..., url=...)"


@dataclass(frozen=True)
class Card:
    """Reference of a member of the zoo.

    A card has authors, year and url, or none of the three if the member is not published.

    Args:
        title: Title of the paper or text that introduced it.
        authors: Its authors, as one would cite them.
        year: Year of publication.
        url: Where it can be read, ``https://``.
        variant: Which of the published variants this is, in words.
        deviations: Where the code differs from the source, and why; empty when it does not.
        trainability: Why a language model of it, trained with default settings, is not expected to predict
            text better than a table of pairs of symbols does; empty when it is.
        scope: How much of its paper's network a cell is: ``"recurrence"`` for the recurrence alone, or
            ``"mixer"`` for one with all the projections, gates and norms that its authors put around it.

    Raises:
        DefinitionError: if a field is empty or of the wrong kind.
    """

    title: str
    authors: str = ""
    year: int | None = None
    url: str = ""
    variant: str = ""
    deviations: str = ""
    trainability: str = ""
    scope: str = "recurrence"

    def __post_init__(self) -> None:
        """Check every field, so that a card in a registry is a complete one."""
        if not isinstance(self.title, str) or not self.title.strip():
            raise DefinitionError(f"zoo.Card: title is {short_repr(self.title)}; give a non-empty string.")
        who = f"zoo.Card {self.title!r}"
        for field in ("variant", "deviations", "trainability"):
            if not isinstance(getattr(self, field), str):
                raise DefinitionError(
                    f"{who}: {field} is {short_repr(getattr(self, field))}; say it in words, or leave it out."
                )
        if self.scope not in list(SCOPES):
            raise DefinitionError(
                f"{who}: scope is {short_repr(self.scope)}; give one of {', '.join(SCOPES)}."
            )
        if self.published:
            self._check_reference(who)

    @property
    def published(self) -> bool:
        """Whether it names authors, year and url."""
        is_default = (isinstance(value, str) and not value for value in (self.authors, self.url))
        return self.year is not None or not all(is_default)

    def citation(self) -> str:
        """Authors, year and title, or the title and ``unpublished``."""
        if not self.published:
            return f"{self.title}, {UNPUBLISHED}."
        return f"{self.authors} ({self.year}). {self.title}."

    def _check_reference(self, who: str) -> None:
        for field in ("authors", "url"):
            if not isinstance(getattr(self, field), str) or not getattr(self, field).strip():
                raise DefinitionError(
                    f"{who}: {field} is {short_repr(getattr(self, field))}; give a non-empty string, or "
                    f"leave out authors, year and url if it is not published."
                )
        if isinstance(self.year, bool) or not isinstance(self.year, int) or not 1600 <= self.year <= 2200:
            raise DefinitionError(
                f"{who}: year is {short_repr(self.year)}; give it as an integer, as in 1997."
            )
        if not self.url.startswith(("https://", "http://")):
            raise DefinitionError(
                f"{who}: url is {short_repr(self.url)}; give one that starts with https://."
            )
