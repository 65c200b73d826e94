"""Schema: what a payload must be, and payloads as strict JSON. Imports only the standard library and
jsonschema_rs.
"""

from engine.schema.payload import check_value, dump_payload, parse_payload
from engine.schema.schema import Schema

__all__ = ["Schema", "check_value", "dump_payload", "parse_payload"]
