"""Passwords are verified against their hashes, with a bound on how many at a time."""

import asyncio

import pytest
from argon2 import PasswordHasher, extract_parameters

from api.auth.passwords import MAX_PER_ADDRESS, MAX_WAITING, Passwords
from api.overload.errors import OverloadedError

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords()


def test_a_password_is_verified_against_its_hash(passwords: Passwords) -> None:
    async def test() -> None:
        hashed = passwords.hash(PASSWORD)
        assert await passwords.verify(hashed, PASSWORD, "a")
        assert not await passwords.verify(hashed, PASSWORD + "x", "a")
        assert not await passwords.verify(None, PASSWORD, "a")
        assert not await passwords.verify("no hash", PASSWORD, "a")

    asyncio.run(test())


def test_verifying_for_an_unknown_user_costs_as_much_as_for_a_user(passwords: Passwords) -> None:
    assert extract_parameters(passwords._nobody) == extract_parameters(passwords.hash(PASSWORD))


def test_the_logins_of_one_address_leave_room_for_other_addresses(passwords: Passwords) -> None:
    async def test() -> None:
        # Cheap hashes: this test counts verifications.
        hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)

        def start(address: str, count: int) -> list["asyncio.Task[bool]"]:
            return [asyncio.ensure_future(passwords.verify(hashed, PASSWORD, address)) for _ in range(count)]

        flood = start("flood", MAX_PER_ADDRESS + 1)
        others = start("another", MAX_WAITING - MAX_PER_ADDRESS)
        await asyncio.sleep(0)
        (one_too_many,) = start("a third", 1)
        flood_done = await asyncio.gather(*flood, return_exceptions=True)
        assert [done for done in flood_done if not isinstance(done, OverloadedError)] == [True] * MAX_PER_ADDRESS
        assert await asyncio.gather(*others) == [True] * len(others)
        with pytest.raises(OverloadedError, match="too many logins at a time"):
            await one_too_many
        # All slots have been released.
        assert await asyncio.gather(*start("flood", 1)) == [True]
        assert not passwords._under_way

    asyncio.run(test())
