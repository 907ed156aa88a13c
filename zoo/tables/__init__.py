"""Tables of texts: what is shown on a terminal, and what is written into a marked place of a document."""

from zoo.tables.document_marker import BEGINNING, END, Place, place_of
from zoo.tables.text_table import Sheet, plain, plain_table, section

__all__ = ["BEGINNING", "END", "Place", "Sheet", "place_of", "plain", "plain_table", "section"]
