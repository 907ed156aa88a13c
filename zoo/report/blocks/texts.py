"""Words: samples, facts, paragraphs; and a drawing that comes as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Samples:
    """Texts that the model wrote, by step."""

    kind: ClassVar[str] = "samples"
    name: str
    title: str
    steps: tuple[int, ...]
    texts: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Fact:
    """A name and what it stands for.

    Args:
        label: The name.
        text: What it stands for.
        marked: Whether it stands out, as a setting that is not the default.
        link: Where the text leads, an ``https`` address; empty for nowhere.
    """

    label: str
    text: str
    marked: bool = False
    link: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    name: str
    title: str
    facts: tuple[Fact, ...]
    note: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph, or if ``fixed`` a block in which every space counts; addresses in it become links."""

    kind: ClassVar[str] = "text"
    text: str
    fixed: bool = False
    warning: bool = False


@dataclass(frozen=True)
class Prose:
    """Paragraphs and fixed blocks that belong together."""

    kind: ClassVar[str] = "prose"
    name: str
    title: str
    parts: tuple[Text, ...]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG drawing that zoo made.

    Args:
        name: Its place on the page.
        title: What it shows, also for those who cannot see it.
        svg: Its text.
        note: A sentence below it.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    svg: str
    note: str = ""
