"""The report of a comparison."""

from zoo.report.comparison.page import comparison_report

__all__ = ["comparison_report"]
