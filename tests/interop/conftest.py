"""An api that trusts the proxies in front of it, and those proxies, during a session."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from localcluster.cluster import Cluster
from tests.integration.processes import ApiProcess
from tests.interop.client import MAKE as MAKE_CLIENT
from tests.interop.client import Client
from tests.interop.proxies import MAKE, Certificate, program


@dataclass(frozen=True)
class Front:
    """The api or a proxy to which a client connects."""

    name: str
    base_url: str
    certificate: Certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def proxied_api(cluster: Cluster) -> Iterator[ApiProcess]:
    """An api for the published configurations, which limits no failed logins."""
    settings = {
        "TARANTKV_TRUSTED_PROXIES": "127.0.0.1",
        "TARANTKV_LOGIN_TRIES_PER_ADDRESS": "1000000",
        "TARANTKV_LOGIN_TRIES_PER_USER": "1000000",
    }
    with ApiProcess(cluster, settings) as process:
        yield process


def port_of(base_url: str) -> int:
    port = urlsplit(base_url).port
    assert port is not None
    return port


class Fronts:
    """Starts each proxy when it is first needed."""

    def __init__(self, api_url: str, certificate: Certificate, directory: Path, stack: ExitStack) -> None:
        self._api_url = api_url
        self._certificate = certificate
        self._directory = directory
        self._stack = stack
        self._made = {"alone": Front("alone", api_url, certificate)}

    def get(self, name: str) -> Front:
        """The api alone, or behind a proxy; skips the test if that is not installed."""
        if name not in self._made:
            if program(name) is None:
                pytest.skip(f"{name} is not installed")
            directory = self._directory / name
            directory.mkdir()
            proxy = self._stack.enter_context(MAKE[name](directory, port_of(self._api_url), self._certificate))
            self._made[name] = Front(name, proxy.base_url, self._certificate)
        return self._made[name]


@pytest.fixture(scope="session")
def fronts(
    proxied_api: ApiProcess, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fronts]:
    with ExitStack() as stack:
        yield Fronts(proxied_api.base_url, certificate, tmp_path_factory.mktemp("proxies"), stack)


class Clients:
    """Starts each client when it is first needed."""

    def __init__(self, certificate: Certificate, directory: Path, stack: ExitStack) -> None:
        self._certificate = certificate
        self._directory = directory
        self._stack = stack
        self._made: dict[str, Client] = {}

    def get(self, name: str) -> Client:
        """A client; skips the test if it is not installed."""
        if name not in self._made:
            self._made[name] = self._stack.enter_context(MAKE_CLIENT[name](self._certificate, self._directory))
        return self._made[name]


@pytest.fixture(scope="session")
def clients(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(certificate, tmp_path_factory.mktemp("clients"), stack)
