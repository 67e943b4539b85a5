"""An account to rehearse in: Lambda's quotas, delays and troubles, before the local Lambda or in virtual time.

In: what any client asks of AWS. Out: what AWS would answer, sooner or later or not at all. Must not reach AWS.

`with rehearsal(folder, conditions=ROUGH) as account:` runs one; `account.variables` is the environment of its clients.
"""

from graphlambda.testing.account.conditions import AT_ONCE, ROUGH, TYPICAL, Conditions, Mishap, Spread
from graphlambda.testing.account.quotas import Limits, Reason
from graphlambda.testing.account.rehearsal import Rehearsal, rehearsal

__all__ = [
    "AT_ONCE",
    "ROUGH",
    "TYPICAL",
    "Conditions",
    "Limits",
    "Mishap",
    "Reason",
    "Rehearsal",
    "Spread",
    "rehearsal",
]
