# One image for the api and the workers, which differ in the command. Redis and Tarantool run from official images
# (docker-compose.yml).
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS packages
RUN python -m venv --without-pip /venv
COPY requirements.lock requirements-contract.lock /locks/
RUN pip --python /venv/bin/python --disable-pip-version-check --no-input install \
        --no-cache-dir --no-deps --require-hashes --quiet -r /locks/requirements.lock
# A layer of its own, so that a change of the test tools does not rebuild the large layer above.
RUN pip --python /venv/bin/python --disable-pip-version-check --no-input install \
        --no-cache-dir --no-deps --require-hashes --quiet -r /locks/requirements-contract.lock

FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 tarantkv \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tarantkv
# With the last two, `pytest tests/contract` in the container tests that container's api and writes no cache to the
# read-only disk.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CONTRACT_BASE_URL=http://127.0.0.1:8081 \
    PYTEST_ADDOPTS="-p no:cacheprovider"
# The same version as in protocol/version.py. A label cannot read a file, so tests/unit/test_version.py compares them.
LABEL org.opencontainers.image.title="tarant-kv" \
      org.opencontainers.image.version="0.1.0"
COPY --from=packages /venv /venv
WORKDIR /app
COPY pyproject.toml ./
COPY tests/contract tests/contract
COPY protocol protocol
COPY worker worker
COPY api api
# The root file system is read-only in a container: without this, Python would compile the modules at every start.
RUN python -m compileall -q protocol worker api
USER 10001:10001
EXPOSE 8081
STOPSIGNAL SIGTERM
CMD ["python", "-m", "api"]
