"""The scheduler: from a `Program` and its functions to values.

In: a `Program`, operation → function names, an `Invoker`, a `Store`. Out: a `Run` with its values, and events
on the way. Must not know how a function was built or where it runs.

`order` says what comes first, `state` what is possible, `policy` what follows; `requests` and `outcomes` are
the two directions of the wire; `execution` joins them on one event loop; `loop` is one run from end to end.
"""

from graphlambda.scheduler.content import Namespace
from graphlambda.scheduler.keeper import Durable
from graphlambda.scheduler.limits import Limits
from graphlambda.scheduler.loop import Run, begin, execute

__all__ = ["Durable", "Limits", "Namespace", "Run", "begin", "execute"]
