"""The local Lambda: a service on loopback that is Lambda at another address.

In: Lambda's own REST calls, signed with the credentials that `start` returns. Out: Lambda's own answers.
Must not share memory with its client: it is a process at an endpoint URL, nothing more.
"""

from graphlambda.local.process import LocalLambda, serve, start
from graphlambda.local.settings import Credentials, Description, LocalSettings

__all__ = ["Credentials", "Description", "LocalLambda", "LocalSettings", "serve", "start"]
