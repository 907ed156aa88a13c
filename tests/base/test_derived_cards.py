"""Cards of subclasses: a class derived from a published component is unpublished and cites its papers."""

from __future__ import annotations

import pytest

import zoo
from zoo.base import Cell, Component
from zoo.registry import registry_of
from zoo.registry.hookspecs import CLASSES_BY_KIND

KINDS = [kind for kind in CLASSES_BY_KIND.values() if issubclass(kind, Component)]
CARD = zoo.Card(title="T", authors="A. Bee", year=2000, url="https://example.org")


def variant_of(cls: type[Component], name: str = "Own", **attributes: object) -> type[Component]:
    return type(name, (cls,), {"__doc__": "Own.", **attributes})


def papers_of(card: zoo.Card) -> list[tuple[str, int | None]]:
    return [(each.title, each.year) for each in (card, *card.also) if each.published]


def published(kind: type[Component]) -> list[type[Component]]:
    registry = registry_of(kind)
    return [cls for name in registry.list() if (cls := registry.cls(name)).card.published]


@pytest.mark.parametrize("kind", KINDS)
def test_variants_are_unpublished_and_cite_the_papers(kind):
    for cls in published(kind):
        between = variant_of(cls, "Between", card=None)  # as without a card
        for variant in (variant_of(cls), variant_of(between)):
            card = variant.card
            assert (card.title, card.published) == ("Own", False)
            assert papers_of(card) == papers_of(cls.card)
            assert (card.scope, card.block) == (cls.card.scope, cls.card.block)
            assert (card.base, cls.card.base) == (cls.label(), "")
            assert card.variant.startswith(
                f"derived from the {cls.label()}: {cls.card.authors} ({cls.card.year}). "
            )
            own, *cited = variant.bibtex().split("\n\n")
            assert own.startswith("@misc{own,")
            assert "unpublished" in own
            assert cited == cls.bibtex().split("\n\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stated_card_is_the_card_and_the_source_of_further_variants(kind):
    for cls in published(kind)[:3]:
        stated = variant_of(cls, card=CARD)
        assert stated.card is CARD
        assert papers_of(variant_of(stated, "Further").card) == [("T", 2000)]
        unpublished = zoo.Card("An idea")
        assert variant_of(cls, card=unpublished).card is unpublished


def test_a_class_inherits_the_card_of_an_abstract_class():
    class Base(Cell, abstract=True):
        card = CARD
        W = zoo.Param("I", "H", help="weights")
        h = zoo.State("H", help="state")

        def step(self, x, h):
            return x @ self.W + h

    first = variant_of(Base, "First")
    assert first.card is CARD
    between = type("Between", (first,), {"__doc__": "B."}, abstract=True)
    for base in (first, between, variant_of(first, "Second")):
        card = variant_of(base, "Third").card
        assert (card.title, card.published, papers_of(card)) == ("Third", False, [("T", 2000)])
        assert card.variant.startswith("derived from the cell 'first': ")
