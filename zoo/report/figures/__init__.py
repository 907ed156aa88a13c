"""The pictures of a report as files, drawn by matplotlib from the blocks that the page is drawn from."""

from zoo.report.figures.files import ENDINGS, check_figures, write_figures

__all__ = ["ENDINGS", "check_figures", "write_figures"]
