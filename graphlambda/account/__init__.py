"""The account around the functions: what a deployment stands on, who may do what there, and what it costs.

In: a deployment's names, and choices. Out: a template, policies, what stands there. Must not deploy a function or run
anything. boto3 is imported by `graphlambda.account.aws` alone, where a caller asks for it.
"""

from graphlambda.account.stack import Cache, Stack, read

__all__ = ["Cache", "Stack", "read"]
