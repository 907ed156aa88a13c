"""A run directory as a report."""

from zoo.report.run.report import run_report

__all__ = ["run_report"]
