"""Diagram of one step as SVG, by the layered layout of Sugiyama, Tagawa and Toda (1981).

The values of ``step`` become boxes and edges (:mod:`.boxes`). The layout assigns layers, reduces crossings
and assigns coordinates (:mod:`.layout`). Edges are routed and drawn (:mod:`.svg`).
"""

from zoo.cell_pages.diagram.boxes import build_diagram
from zoo.cell_pages.diagram.svg import draw

__all__ = ["build_diagram", "draw"]
