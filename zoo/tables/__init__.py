"""Tables of texts: what is shown on a terminal, and what is written into a marked place of a document."""

from zoo.tables.document_marker import BEGINNING, END, DocumentMarker, parse_marker
from zoo.tables.text_table import TextTable, markdown_section, plain_table, plain_text

__all__ = [
    "BEGINNING",
    "END",
    "DocumentMarker",
    "TextTable",
    "markdown_section",
    "parse_marker",
    "plain_table",
    "plain_text",
]
