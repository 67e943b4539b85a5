"""Estimates a pipeline of the demo, runs it, and prints from what to what it was to cost and what it did, as JSON."""

from __future__ import annotations

import json

import graphlambda
from demo.__main__ import AFAR

program = graphlambda.compile(AFAR["legs"]().collection)
least_usd, most_usd = graphlambda.estimate(program).usd
graphlambda.run(program, graphlambda.deploy(program))
summary = graphlambda.last_summary()
assert summary is not None
print(json.dumps([least_usd, summary.cost_usd, most_usd]))
