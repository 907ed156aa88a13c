"""Tables of texts: what is shown on a terminal, and what is written into a marked place of a document."""

from zoo.sheets.markdown import section
from zoo.sheets.place import BEGINNING, END, Place, place_of
from zoo.sheets.plain import plain, plain_table
from zoo.sheets.sheet import Sheet

__all__ = ["BEGINNING", "END", "Place", "Sheet", "place_of", "plain", "plain_table", "section"]
