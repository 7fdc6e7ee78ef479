from tests.contract.calls import Api, json_body
from tests.contract.problems import problem_of
from tests.integration.conftest import NewUser, login
from tests.integration.store import Store
from tests.integration.waiting import until

STOPS_WITHIN_S = 5.0
BODY = json_body({"keys": ["contract:tokens"]})


def test_the_token_of_a_user_whose_record_is_gone_ends_within_five_seconds(
    api: Api, second: Api, store: Store, new_user: NewUser
) -> None:
    user = new_user()
    token = {"authorization": login(api, user)}
    assert [client.post("read", BODY, token).status_code for client in (api, second)] == [200, 200]
    for console in store.consoles.values():
        console.run(f"box.space.users:delete('{user.name}')")
    for client in (api, second):
        until(
            lambda client=client: client.post("read", BODY, token).status_code == 401,  # type: ignore[misc]
            STOPS_WITHIN_S,
            "a user who is gone is still let in",
        )
        problem_of(client.post("read", BODY, token), "unauthorized")
        problem_of(client.post("logout", b"", token), "unauthorized")
    body = json_body({"username": user.name, "password": user.password})
    problem_of(api.post("login", body), "unauthorized", "the user name or the password is wrong")
