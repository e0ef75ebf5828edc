"""A network as one interactive HTML page."""

from edgewise.interpret.report.page import write_report

__all__ = ["write_report"]
