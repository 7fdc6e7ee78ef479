"""Requests that were damaged on their way: some bytes of odd requests changed."""

import random

from tests.unit.http_corpus import CORPUS

_BYTES = b'\r\n\t :;,/%#?\0\x01\x7f\x80\xffAa0 1-+="*'


def mutated(rng: random.Random) -> bytes:
    """A request of the corpus, or two, with a few bytes changed."""
    small = [data for data in CORPUS.values() if len(data) < 600]
    data = bytearray(b"".join(rng.choice(small) for _ in range(rng.choice((1, 1, 2)))))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at:at] = bytes((rng.choice(_BYTES),))
            case 1:
                del data[at : at + rng.randint(1, 3)]
            case 2:
                data[at : at + 1] = bytes((rng.choice(_BYTES),))
            case _:
                length = rng.randint(1, 20)
                data[at:at] = data[max(0, at - length) : at]
    return bytes(data)
