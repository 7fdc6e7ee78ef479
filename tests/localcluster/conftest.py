"""Fixtures of the tests that start clones."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.localcluster.clones import Clone, make_clone


@pytest.fixture
def new_clone(tmp_path: Path) -> Iterator[Callable[[str], Clone]]:
    """Makes clones in folders with the given names; programs that still run at the end are killed."""
    made: list[Clone] = []

    def new(name: str = "clone") -> Clone:
        made.append(make_clone(tmp_path / name))
        return made[-1]

    yield new
    for clone in made:
        clone.end()


@pytest.fixture
def clone(new_clone: Callable[[str], Clone]) -> Clone:
    """A clone, not started."""
    return new_clone("clone")
