"""The reference implementation of JSON Schema, for whoever asks for it: its formats take two seconds to import.

Each process of the suite imports every module of tests, and few play those that compare.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def jsonschema() -> Any:
    return import_module("jsonschema")


@cache
def hypothesis_jsonschema() -> Any:
    return import_module("hypothesis_jsonschema")
