"""What a report is made of: plain data, which the page and the figures for papers are both drawn from."""

from zoo.report.blocks.charts import Axis, Chart, Number, Reference, Series
from zoo.report.blocks.report import Block, Report, Section, Tile, plain
from zoo.report.blocks.tables import Column, Entry, Table
from zoo.report.blocks.texts import Fact, Facts, Picture, Prose, Samples, Text
from zoo.report.blocks.units import StateUnits, Units

__all__ = [
    "Axis",
    "Block",
    "Chart",
    "Column",
    "Entry",
    "Fact",
    "Facts",
    "Number",
    "Picture",
    "Prose",
    "Reference",
    "Report",
    "Samples",
    "Section",
    "Series",
    "StateUnits",
    "Table",
    "Text",
    "Tile",
    "Units",
    "plain",
]
