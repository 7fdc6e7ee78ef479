# One image for api and worker: the command decides. Redis and Tarantool are official images (docker-compose.yml).
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS packages
RUN python -m venv --without-pip /venv
COPY requirements.lock requirements-contract.lock /locks/
RUN pip --python /venv/bin/python --disable-pip-version-check --no-input install \
        --no-cache-dir --no-deps --require-hashes --quiet -r /locks/requirements.lock
# Apart from the rest, so that a change of the test tools leaves the large layer alone.
RUN pip --python /venv/bin/python --disable-pip-version-check --no-input install \
        --no-cache-dir --no-deps --require-hashes --quiet -r /locks/requirements-contract.lock

FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 tarantkv \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tarantkv
# `pytest tests/contract` inside the container tests the api of that container, and keeps no cache on a read-only disk.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CONTRACT_BASE_URL=http://127.0.0.1:8081 \
    PYTEST_ADDOPTS="-p no:cacheprovider"
# Equal to protocol/version.py: a label cannot read a file, so tests/unit/test_version.py compares the two.
LABEL org.opencontainers.image.title="tarant-kv" \
      org.opencontainers.image.version="0.1.0"
COPY --from=packages /venv /venv
WORKDIR /app
COPY pyproject.toml ./
COPY tests/contract tests/contract
COPY protocol protocol
COPY worker worker
COPY api api
# The root file system is read-only where this runs: what is not compiled now is compiled at every start.
RUN python -m compileall -q protocol worker api
USER 10001:10001
EXPOSE 8081
STOPSIGNAL SIGTERM
CMD ["python", "-m", "api"]
