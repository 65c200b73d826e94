"""Writes lines in pieces to both streams, so that each cuts into the other's."""

import os

for _ in range(20):
    os.write(1, b"one wh")
    os.write(2, b"error ")
    os.write(1, b"ole ")
    os.write(2, b"line\n")
    os.write(1, b"line\n")
