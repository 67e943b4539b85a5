"""The command line, and the only stage that prints on its own account.

In: arguments. Out: text and an exit code. Must not decide anything: `api` and `account` do.
"""

from graphlambda.cli.commands import main

__all__ = ["main"]
