"""Makes the client that a command uses."""

from __future__ import annotations

import os
from argparse import Namespace

from tarantkv.cli.config import Target, target
from tarantkv.cli.exits import UsageError
from tarantkv.client import Client
from tarantkv.policy import MAX_DEADLINE_S, Policy
from tarantkv.session import Ask, Credentials


def target_of(asked: Namespace) -> Target:
    """The api and the user that the flags, the environment and the configuration name."""
    return target(vars(asked), os.environ)


def client_of(asked: Namespace, where: Target | None = None, policy: Policy | None = None) -> Client:
    """A client of the api. If the environment has a password, it logs in when the token ends.

    Raises:
        UsageError: the address is not valid.
    """
    where = where or target_of(asked)
    policy = policy or Policy()
    if asked.deadline is not None:
        if not 0 < asked.deadline <= MAX_DEADLINE_S:
            raise UsageError(f"--deadline must be above 0 and at most {MAX_DEADLINE_S:.0f} seconds")
        policy = policy._replace(deadline_s=asked.deadline)
    try:
        return Client(where.url, token=where.token, credentials=_asking(where), policy=policy)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _asking(where: Target) -> Ask | None:
    if where.user is None or where.password is None:
        return None
    known = Credentials(where.user, where.password)
    return lambda: known
