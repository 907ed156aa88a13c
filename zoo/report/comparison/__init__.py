"""The directory of a comparison as a report."""

from zoo.report.comparison.page import comparison_report

__all__ = ["comparison_report"]
