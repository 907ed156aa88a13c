"""Tables of texts: what is shown on a terminal, and what is written into a marked place of a document."""

from zoo.sheets.markdown import section
from zoo.sheets.place import BEGINNING, END, check_place, put_block, with_block
from zoo.sheets.plain import plain, plain_table
from zoo.sheets.sheet import Sheet

__all__ = [
    "BEGINNING",
    "END",
    "Sheet",
    "check_place",
    "plain",
    "plain_table",
    "put_block",
    "section",
    "with_block",
]
