"""Content types by extension. Never looks into a file, nor at the machine's own tables.

No charset is ever added: the bytes are stored as the command wrote them and nothing has said in which
encoding; a wrong charset would make a reader decode wrongly what it would have guessed right.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

UNKNOWN = "application/octet-stream"

# Before the table of the standard library: what that lacks, names differently from one Python version to the
# next, or would call by the type inside a compressed file.
_OURS: Mapping[str, str] = MappingProxyType(
    {
        "7z": "application/x-7z-compressed",
        "avif": "image/avif",
        "bmp": "image/bmp",
        "br": "application/x-brotli",
        "bz2": "application/x-bzip2",
        "cfg": "text/plain",
        "conf": "text/plain",
        "css": "text/css",
        "csv": "text/csv",
        "deb": "application/vnd.debian.binary-package",
        "diff": "text/x-diff",
        "err": "text/plain",
        "gz": "application/gzip",
        "htm": "text/html",
        "html": "text/html",
        "ini": "text/plain",
        "jar": "application/java-archive",
        "js": "text/javascript",
        "json": "application/json",
        "jsonl": "application/x-ndjson",
        "log": "text/plain",
        "md": "text/markdown",
        "md5": "text/plain",
        "mjs": "text/javascript",
        "ndjson": "application/x-ndjson",
        "out": "text/plain",
        "parquet": "application/vnd.apache.parquet",
        "patch": "text/x-diff",
        "pem": "application/x-pem-file",
        "rpm": "application/x-rpm",
        "rst": "text/x-rst",
        "sha1": "text/plain",
        "sha256": "text/plain",
        "sha512": "text/plain",
        # A detached signature has no type of its own unless it is OpenPGP's, which the name does not tell.
        "sig": UNKNOWN,
        "sqlite": "application/vnd.sqlite3",
        "sqlite3": "application/vnd.sqlite3",
        "svg": "image/svg+xml",
        "tgz": "application/gzip",
        "toml": "application/toml",
        "tsv": "text/tab-separated-values",
        "txt": "text/plain",
        "wasm": "application/wasm",
        "webp": "image/webp",
        "woff": "font/woff",
        "woff2": "font/woff2",
        "xml": "application/xml",
        "xz": "application/x-xz",
        "yaml": "application/yaml",  # RFC 9512
        "yml": "application/yaml",
        "zip": "application/zip",
        "zst": "application/zstd",  # RFC 8878
    }
)


def content_type(name: str) -> str:
    """The type that the last extension stands for, in any case of letters; of unknown ones `UNKNOWN`."""
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    if not dot or not stem:
        return UNKNOWN
    extension = extension.lower()
    return _OURS.get(extension) or _standard().get(f".{extension}", UNKNOWN)


@cache
def _standard() -> dict[str, str]:
    import mimetypes  # here, since it reads the machine's tables when it is first used, though we use none

    return mimetypes.MimeTypes(filenames=()).types_map[True]
