"""Settings of the HTTP front end: where it listens, how it starts and stops, how long it waits for clients."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from msgspec import Meta

from protocol.settings.base import Port, Seconds, Settings
from protocol.settings.deadlines import StopGrace


class HttpSettings(Settings, frozen=True, kw_only=True):
    """How the api listens, starts and stops."""

    host: Annotated[str, Meta(description="Address on which the api listens.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port on which the api listens.")] = 8081
    api_processes: Annotated[
        int,
        Meta(ge=0, le=256, description="Processes that share the api's port; 0: one for every two cores."),
    ] = 0
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Addresses or networks, separated by commas, whose `X-Forwarded-For` is trusted; `*`: "
            "all of them."
        ),
    ] = ""
    tls_cert: Annotated[
        str, Meta(description="File of a certificate chain (PEM): the api then speaks HTTPS. Empty: plain HTTP.")
    ] = ""
    tls_key: Annotated[str, Meta(description="File of the certificate's private key (PEM).")] = ""
    body_timeout_s: Annotated[Seconds, Meta(description="Seconds in which a request's body must arrive.")] = 30.0
    head_timeout_s: Annotated[
        Seconds, Meta(description="Seconds in which a request's head must arrive, from its first byte on.")
    ] = 10.0
    send_timeout_s: Annotated[
        Seconds, Meta(description="Seconds after which a client that reads nothing is disconnected.")
    ] = 30.0
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections of one api process; beyond that, the one that was idle for longest is closed.",
        ),
    ] = 10_000
    startup_timeout_s: Annotated[
        Seconds, Meta(description="Seconds for which the api waits for Redis and the shards when it starts.")
    ] = 60.0
    drain_delay_s: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description="Seconds from SIGTERM, when readiness fails, until the api accepts no more connections.",
        ),
    ] = 0.0
    drain_timeout_s: Annotated[
        Seconds, Meta(description="Seconds after `TARANTKV_DRAIN_DELAY_S` in which running requests may finish.")
    ] = 10.0
    stop_grace_s: StopGrace = 0
    access_log: Annotated[
        Literal["all", "errors", "off"],
        Meta(description="Which requests are logged, each with its `X-Request-Id`."),
    ] = "errors"

    def __post_init__(self) -> None:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("TARANTKV_TLS_CERT and TARANTKV_TLS_KEY must both be set, but one of them is not")
        for proxy in self.trusted_proxies.split(",") if self.trusted_proxies not in ("", "*") else ():
            try:
                ip_network(proxy.strip())
            except ValueError:
                # The server would take it for a name that no client has, and would trust no proxy.
                raise ValueError(f"TARANTKV_TRUSTED_PROXIES: {proxy.strip()!r} is not an address or network") from None
