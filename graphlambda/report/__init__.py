"""Who is told: what a run's events add up to, and what a person sees of it.

In: the scheduler's events. Out: a summary, lines, tables, a live display. Must not run anything,
nor know how a function was built.
"""

from __future__ import annotations

from graphlambda.report.bill import Bill
from graphlambda.report.closing import close
from graphlambda.report.display import Display
from graphlambda.report.output import Output
from graphlambda.report.profiler import Profiler
from graphlambda.report.tables import operations_table
from graphlambda.report.tally import Summary, Tally

__all__ = ["Bill", "Display", "Output", "Profiler", "Summary", "Tally", "close", "operations_table"]
