"""The version of the whole project: api, workers and storage procedures are released together.

This is the only place that states it. `pyproject.toml`, `--version`, `/health/live`, the metric `tarantkv_build_info`
and the OpenAPI document read it here; the label in the Dockerfile is tested to be equal.
"""

from typing import Final

VERSION: Final = "0.1.0"
