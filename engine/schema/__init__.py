"""Schema: what a payload must be, and payloads as strict JSON. Imports only the standard library and
jsonschema_rs.
"""

from engine.schema.payload import Payload, check_value, depth_of, dump_payload, parse_payload, too_large
from engine.schema.schema import Schema

__all__ = ["Payload", "Schema", "check_value", "depth_of", "dump_payload", "parse_payload", "too_large"]
