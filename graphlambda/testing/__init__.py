"""What an implementer needs: contract suites to inherit, honest fakes, clocks, faults.

In: nothing. Out: classes and functions for tests, ours and other people's. Must not be imported by a stage.
"""
