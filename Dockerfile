# One image for the API, Locust's master and its workers; the command decides what runs in it.

FROM python:3.13-slim AS dependencies
ARG PIP_INDEX_URL
RUN python -m venv /opt/swarmscope
COPY requirements.image.lock /build/
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/swarmscope/bin/pip install --require-hashes --only-binary :all: -r /build/requirements.image.lock

FROM dependencies AS package
COPY .dockerignore Dockerfile LICENSE README.md docker-compose.yml pyproject.toml \
    requirements.image.lock swarmscope.toml /build/
COPY swarmscope /build/swarmscope
RUN /opt/swarmscope/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /build

FROM python:3.13-slim
# A fixed uid, so that each start can read what earlier ones wrote on a volume. Empty volumes inherit
# the owner of the directory where they are mounted, so that no service needs root to prepare them.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent swarmscope \
    && install -d -o swarmscope -g swarmscope \
        /secrets/app /secrets/database /secrets/grafana /secrets/metrics \
        /requirements /swarmscope /var/lib/swarmscope/api /var/lib/swarmscope/journals
COPY --from=dependencies /opt/swarmscope /opt/swarmscope
RUN --mount=from=package,source=/wheels,target=/wheels \
    /opt/swarmscope/bin/pip install --no-deps --no-index --no-cache-dir /wheels/*.whl
WORKDIR /app
COPY api api
COPY locustfiles locustfiles
ENV PATH=/opt/swarmscope/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SWARMSCOPE_HOME=/var/lib/swarmscope
USER swarmscope
