"""Run every pipeline of the demo, and say what to try next.

python -m demo [flights] [digits] [words] [legs]
"""

from __future__ import annotations

import sys

from demo import digits, flights, legs, words
from demo.show import show
from graphlambda.config import load

PIPELINES = {
    "flights": flights.pipeline, "digits": digits.pipeline, "words": words.pipeline, "legs": legs.pipeline
}  # fmt: skip
AFAR = PIPELINES | {"flights": flights.carried, "words": words.carried}
"""The same where functions do not see this machine's files: what they would read travels with the program."""

NEXT = """
What to try next

  python -m demo                                  once more: every function is there, nothing is deployed
  python -m demo legs                             after a change to a function in demo/legs.py: only what changed
                                                  is deployed; after a change to a comment, nothing is
  collection.compute(scheduler="graphlambda")     in a session of your own, after `import graphlambda`
  python -m benchmarks.operations                 how few operations 36 other graphs have
"""


def main(names: list[str]) -> int:
    """Show the pipelines called `names`, or all; return 1 where a result is not Dask's."""
    unknown = [name for name in names if name not in PIPELINES]
    if unknown:
        print(
            f"There is no pipeline called {', '.join(unknown)}, only {', '.join(PIPELINES)}.", file=sys.stderr
        )
        return 2
    pipelines = AFAR if load().endpoint else PIPELINES
    agreed = [show(pipelines[name]()) for name in names or PIPELINES]
    print(NEXT)
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
