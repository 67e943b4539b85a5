"""Workloads, and the code that measures graphlambda on them and beside its peers."""
