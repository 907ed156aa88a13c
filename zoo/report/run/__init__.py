"""The report of a run."""

from zoo.report.run.page import run_report

__all__ = ["run_report"]
