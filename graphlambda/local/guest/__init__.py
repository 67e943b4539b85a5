"""What runs inside an execution environment before the function: copied out, standard library only.

In: a specification on standard input. Out: a process that is shut in and speaks the Runtime API.
Must not import anything of graphlambda: it runs under `python -I -S` and sees no site-packages.
"""
