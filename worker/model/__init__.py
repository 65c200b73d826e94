"""Values of the worker and the table of transitions. Pure: no I/O, the clock is an argument.

Kept empty: who needs one value does not pay for the making of all.
"""
