"""Dask's small array and bag functions, with NumPy alone: what a function of Lambda calls in place of `import dask`.

In: what a task's graph hands to a function of Dask. Out: what Dask's own would give, to the bit, its exceptions and
warnings included. Each bears the name and the parameters of the one that it stands for.

Shipped into artifacts as `graphlambda_kernels/`, module by module as operations name them. Imports NumPy, the
standard library and own files (relatively); what is no array of NumPy's is handed to Dask's own function, imported then.
Which function of Dask has a kernel, and for which releases, says `graphlambda.compiler.kernels`.
"""
