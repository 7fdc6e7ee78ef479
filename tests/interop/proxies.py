"""nginx and HAProxy as real processes in front of an api, with the configurations that `docs/proxies` publishes.

A test may change only the parts of a published file that depend on the machine (ports, certificates). If a test is
about another configuration, it names the lines that it replaces.
"""

import datetime as dt
import ipaddress
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from localcluster.ports import free_ports, is_taken

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "proxies"
START_TIMEOUT_S = 20.0
_POLL_S = 0.02

_NGINX_MAIN = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/published;
}}
"""
"""The lines around the published file that a distribution's package provides."""


def program(name: str) -> str | None:
    """The path of a server; the PATH of normal users may lack the administrators' folders."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for this machine. `chain_and_key` is one file with both."""

    chain: Path
    key: Path
    chain_and_key: Path

    @classmethod
    def make(cls, directory: Path) -> Self:
        """Write a new certificate into a directory."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        chain = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        made = cls(directory / "kv.pem", directory / "kv.key", directory / "kv-both.pem")
        made.chain.write_bytes(chain)
        made.key.write_bytes(private)
        made.chain_and_key.write_bytes(chain + private)
        return made


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """`text` with parts replaced; it must contain each of them."""
    for part, other in replacements.items():
        assert part in text, f"not in the published configuration: {part!r}"
        text = text.replace(part, other)
    return text


class Proxy:
    """A proxy that runs inside a `with` block."""

    def __init__(self, name: str, command: list[str], log: Path, port: int, *, tls: bool) -> None:
        self.name = name
        self.port = port
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self._command = command
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        end = time.monotonic() + START_TIMEOUT_S
        while not is_taken(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                self._end()
                raise AssertionError(f"{self.name} did not start:\n{self._log.read_text()}")
            time.sleep(_POLL_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


def nginx(
    directory: Path, api_port: int, certificate: Certificate | None, replacements: Mapping[str, str] | None = None
) -> Proxy:
    """Make an nginx with the published configuration; without a certificate it speaks plain HTTP."""
    (port,) = free_ports(1)
    path = program("nginx")
    assert path is not None
    machine = {"server 127.0.0.1:8081 ": f"server 127.0.0.1:{api_port} "}
    if certificate is None:
        machine["listen 443 ssl;"] = f"listen 127.0.0.1:{port};"
        machine["ssl_certificate /etc/ssl/kv.pem;"] = machine["ssl_certificate_key /etc/ssl/kv.key;"] = ""
    else:
        machine["listen 443 ssl;"] = f"listen 127.0.0.1:{port} ssl;"
        machine["/etc/ssl/kv.pem"] = str(certificate.chain)
        machine["/etc/ssl/kv.key"] = str(certificate.key)
    published = replaced((PUBLISHED / "nginx.conf").read_text(), {**machine, **(replacements or {})})
    (directory / "published").write_text(published)
    (directory / "main").write_text(_NGINX_MAIN.format(directory=directory))
    # `-e`: before it has read its configuration it would write to a log that only an administrator may write.
    command = [path, "-e", str(directory / "log"), "-p", str(directory), "-c", str(directory / "main")]
    return Proxy("nginx", command, directory / "log", port, tls=certificate is not None)


def haproxy(
    directory: Path, api_port: int, certificate: Certificate | None, replacements: Mapping[str, str] | None = None
) -> Proxy:
    """Make an HAProxy with the published configuration; without a certificate it speaks plain HTTP."""
    (port,) = free_ports(1)
    path = program("haproxy")
    assert path is not None
    bind = "bind :443 ssl crt /etc/ssl/kv.pem alpn h2,http/1.1"
    tls = f" ssl crt {certificate.chain_and_key} alpn h2,http/1.1" if certificate is not None else ""
    machine = {"server api1 127.0.0.1:8081 ": f"server api1 127.0.0.1:{api_port} ", bind: f"bind 127.0.0.1:{port}{tls}"}
    published = replaced((PUBLISHED / "haproxy.cfg").read_text(), {**machine, **(replacements or {})})
    (directory / "published").write_text(published)
    command = [path, "-db", "-f", str(directory / "published")]
    return Proxy("haproxy", command, directory / "log", port, tls=certificate is not None)


MAKE = {"nginx": nginx, "haproxy": haproxy}
"""How each proxy is made, by its name."""
