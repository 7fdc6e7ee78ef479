"""The limits of the api under test: its settings, if the environment has them as in its container, or the defaults."""

import os


def _setting(name: str, default: int) -> int:
    return int(os.environ.get(name) or default)


MAX_KEY_BYTES = _setting("TARANTKV_MAX_KEY_BYTES", 1024)
MAX_VALUE_BYTES = _setting("TARANTKV_MAX_VALUE_BYTES", 512 * 1024)
MAX_BATCH_KEYS = _setting("TARANTKV_MAX_BATCH_KEYS", 10_000)
MAX_BODY_BYTES = _setting("TARANTKV_MAX_BODY_BYTES", 16 * 1024 * 1024)
MAX_LOGIN_BYTES = 16 * 1024
