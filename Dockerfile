# Image of the API, the worker and the migrations: no torch, no compiler, not root, read-only root filesystem.
# The encoder has its own image: `bentoml build && bentoml containerize`. It asks for keys, since others reach it: make
# one by `vidrec keys create` in the container, or set VIDREC_AUTH=off and VIDREC_ALLOW_OPEN=true.
ARG PYTHON=docker.io/library/python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /build
COPY requirements/uv.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/uv.txt
COPY requirements/run.txt requirements/build.txt requirements/
RUN uv venv /opt/vidrec && uv pip sync --python /opt/vidrec/bin/python --require-hashes requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN uv pip install --python /opt/vidrec/bin/python --no-deps --build-constraints requirements/build.txt . \
 && /opt/vidrec/bin/python -m compileall -q /opt/vidrec

FROM ${PYTHON}
COPY --from=build /opt/vidrec /opt/vidrec
ENV PATH=/opt/vidrec/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 VIDREC_DATA_DIR=/data VIDREC_AUTH=keys
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /tmp
VOLUME /data
EXPOSE 3000
ENTRYPOINT ["vidrec"]
CMD ["api", "--host", "0.0.0.0", "--port", "3000"]
