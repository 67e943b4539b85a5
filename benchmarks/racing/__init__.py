"""Ten graphs of real work, of one size each, by graphlambda and its peers.

In: nothing but what is written here. Out: seconds. Tasks of 50 ms and more: what is compared is not the cost of a task
(that is `benchmarks.overhead`), but moving values, keeping cores busy, and the code that a task runs.
"""
