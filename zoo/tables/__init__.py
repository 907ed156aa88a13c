"""Tables of text, and markers in documents between which commands write them."""

from zoo.tables.document_marker import BEGINNING, END, DocumentMarker, parse_marker
from zoo.tables.text_table import TextTable, align

__all__ = ["BEGINNING", "END", "DocumentMarker", "TextTable", "align", "parse_marker"]
