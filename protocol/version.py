"""The version of the whole project: api, workers and storage procedures are released together.

It is defined only here. `pyproject.toml`, `--version`, `/health/live`, the metric `tarantkv_build_info` and the OpenAPI
document read it from here; a test compares the label in the Dockerfile with it.
"""

from typing import Final

VERSION: Final = "0.1.0"
