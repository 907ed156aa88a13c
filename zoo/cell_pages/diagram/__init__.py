"""The computation of one step as a picture: boxes, arrows, and nothing to install for it.

The way: what ``step`` computes becomes boxes and arrows (:mod:`.boxes`), boxes get a row (:mod:`.rows`), an
order within it (:mod:`.ordering`) and a place (:mod:`.placing`), arrows a course between them
(:mod:`.routing`), and all of it a text (:mod:`.svg`).
"""

from zoo.cell_pages.diagram.boxes import diagram
from zoo.cell_pages.diagram.svg import draw

__all__ = ["diagram", "draw"]
