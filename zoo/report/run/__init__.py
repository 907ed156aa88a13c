"""A run directory as a report."""

from zoo.report.run.page import run_report

__all__ = ["run_report"]
