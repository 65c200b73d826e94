"""Process: the run of one command, supervised, with nothing left behind.

Kept empty: the supervisor imports its neighbours through this package and must stay small.
"""
