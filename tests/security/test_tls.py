"""The api over TLS: batches, several processes, and clients that are refused."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from localcluster.cluster import Cluster
from localcluster.probes import api_is_ready
from tests.contract.calls import TIMEOUT_S
from tests.integration.processes import ApiProcess, run_module
from tests.security.test_headers import ALWAYS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings with a self-signed certificate of 127.0.0.1."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tarant-kv")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"TARANTKV_TLS_CERT": str(directory / "cert.pem"), "TARANTKV_TLS_KEY": str(directory / "key.pem")}


@contextmanager
def secured(cluster: Cluster, certificate: dict[str, str], **settings: str) -> Iterator[str]:
    """An api that speaks HTTPS; its address."""
    process = ApiProcess(cluster, {**certificate, **settings})
    process.base_url = process.base_url.replace("http:", "https:")
    with process:
        yield process.base_url


@pytest.fixture(scope="module")
def base_url(cluster: Cluster, certificate: dict[str, str]) -> Iterator[str]:
    with secured(cluster, certificate) as base_url:
        yield base_url


def verifying(certificate: dict[str, str]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate["TARANTKV_TLS_CERT"])


def test_batches_are_served_over_tls(base_url: str, certificate: dict[str, str], cluster: Cluster) -> None:
    context = verifying(certificate)
    with httpx.Client(base_url=base_url, verify=context, timeout=TIMEOUT_S, trust_env=False) as client:
        login = client.post("/api/login", json={"username": cluster.admin_user, "password": cluster.admin_password})
        client.headers["authorization"] = login.json()["token"]
        data = {f"tls:{number}": "x" * 10_000 for number in range(100)}
        assert client.post("/api/write", json={"data": data}).json() == {"status": "success"}
        read = client.post("/api/read", json={"keys": list(data)})
        assert read.json() == {"data": data}
        assert {name: read.headers[name] for name in ALWAYS} == ALWAYS
        assert client.post("/api/delete", json={"keys": list(data)}).json()["deleted"] == len(data)


def test_several_processes_share_the_certificate(cluster: Cluster, certificate: dict[str, str]) -> None:
    with secured(cluster, certificate, TARANTKV_API_PROCESSES="2") as base_url:
        assert httpx.get(f"{base_url}/health/ready", verify=verifying(certificate), trust_env=False).status_code == 200


def test_a_client_that_does_not_know_the_certificate_refuses_it(base_url: str) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(base_url, verify=ssl.create_default_context(), trust_env=False)


def test_plain_http_gets_no_answer(base_url: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(base_url.replace("https:", "http:"), trust_env=False, verify=False)


def test_the_start_and_the_probe_of_a_local_cluster_use_tls(base_url: str) -> None:
    port = httpx.URL(base_url).port
    assert port is not None
    assert api_is_ready("127.0.0.1", port, tls=True)
    assert not api_is_ready("127.0.0.1", port, tls=False)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(base_url: str) -> None:
    context = ssl._create_unverified_context()
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    url = httpx.URL(base_url)
    with socket.create_connection((url.host, url.port or 0), timeout=10) as connection, pytest.raises(ssl.SSLError):
        context.wrap_socket(connection)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TARANTKV_TLS_KEY": ""}, "TARANTKV_TLS_CERT and TARANTKV_TLS_KEY must both be set"),
        ({"TARANTKV_TLS_KEY": __file__}, "TARANTKV_TLS_CERT and TARANTKV_TLS_KEY cannot be used"),
    ],
)
def test_an_unusable_certificate_ends_the_start_with_one_line(
    cluster: Cluster, certificate: dict[str, str], changes: dict[str, str], said: str
) -> None:
    done = run_module(cluster, "api", {**certificate, **changes})
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert said in line
    assert Path(certificate["TARANTKV_TLS_KEY"]).read_text().splitlines()[1] not in line


def test_an_encrypted_key_ends_the_start_instead_of_asking_for_its_password(
    cluster: Cluster, certificate: dict[str, str], tmp_path: Path
) -> None:
    key = serialization.load_pem_private_key(Path(certificate["TARANTKV_TLS_KEY"]).read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"a password")
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    done = run_module(cluster, "api", {**certificate, "TARANTKV_TLS_KEY": str(tmp_path / "key.pem")})
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert "TARANTKV_TLS_CERT and TARANTKV_TLS_KEY cannot be used" in line
