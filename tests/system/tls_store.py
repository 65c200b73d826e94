"""A Redis of Debian's on loopback, with TLS and accounts, started with the configuration of the documentation."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.system.installed import installed
from tests.system.site import eventually


def program() -> Path:
    """redis-server, installed when that is allowed; else the test is skipped with the reason."""
    return installed("redis-server", _find, _left_out, within_s=100)


def _find() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def _left_out(why: str) -> NoReturn:
    """PENSTOCK_TEST_REDIS=required: then it is a failure."""
    say = pytest.fail if os.environ.get("PENSTOCK_TEST_REDIS") == "required" else pytest.skip
    say(f"Redis with TLS is left out: {why}")


class TlsStore:
    """`folder` gets the certificates, and has the accounts in `users.acl` before it is started."""

    def __init__(self, folder: Path, conf: str) -> None:
        self.folder = folder
        self._program = program()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"rediss://localhost:{self.port}/0?ssl_ca_certs={folder}/ca.crt"
        ca_key, ca = authority("Penstock test")
        key, certificate = signed("localhost", ca_key, ca)
        (folder / "ca.crt").write_bytes(ca.public_bytes(Encoding.PEM))
        (folder / "server.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "server.key").write_bytes(pem)
        conf = re.sub(r"/etc/penstock-store|/var/lib/penstock-store", str(folder), conf)
        (folder / "store.conf").write_text(conf.replace("6379", str(self.port)).replace("0.0.0.0", "127.0.0.1"))

    def start(self) -> None:
        with (self.folder / "store.log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, self.folder / "store.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._listens, "the store with TLS")

    def client(self, url: str) -> redis.Redis:
        return redis.Redis.from_url(url, protocol=2, socket_timeout=10)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _listens(self) -> bool:
        assert self._process.poll() is None, (self.folder / "store.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, _certificate(name, key, name, key, authority=True)


def signed(
    host: str, by: ec.EllipticCurvePrivateKey, issuer: x509.Certificate
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    [name] = issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return key, _certificate(host, key, str(name.value), by, authority=False)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    by: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if not authority:
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(by, SHA256())
