"""Reports: a run or a comparison as one HTML page, and its figures as files for papers.

>>> report = zoo.report.make_report("runs/first")
>>> zoo.report.write_page(report, "first.html")
>>> zoo.report.write_figures(report, "figures", "svg")
>>> zoo.report.write_paper("runs/comparison", "paper")

A directory becomes blocks of plain data (``zoo.report.run_page``, ``zoo.report.comparison``,
``zoo.report.blocks``). The page (``zoo.report.page``, ``assets``) and the figures (``zoo.report.figures``)
are drawn from those. ``zoo.report.paper`` writes a comparison in LaTeX, and ``draw_gates`` draws gates over
time from traces.
"""

from zoo.report.blocks import ReportPage
from zoo.report.figures import write_figures
from zoo.report.gate_figures import draw_gates
from zoo.report.page import make_report, write_page
from zoo.report.paper import write_paper

__all__ = ["ReportPage", "draw_gates", "make_report", "write_figures", "write_page", "write_paper"]
