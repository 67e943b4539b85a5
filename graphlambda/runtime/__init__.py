"""What travels in every artifact, as `graphlambda_runtime/`: the standard library and its own files only.

In: a request (JSON). Out: a reply (JSON). Must not import anything else, nor pickle a class of its own:
the client knows these modules as `graphlambda.runtime`, a function as `graphlambda_runtime`.
"""
