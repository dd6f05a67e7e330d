# Image of the API, the workers, the sweep and the migrations: no torch, no compiler, not root, read-only root filesystem, any
# user id. The encoder has its own image: `bentoml build && bentoml containerize`. It asks for keys, since others reach it:
# make one by `vidrec keys create` in the container, or set VIDREC_AUTH=off and VIDREC_ALLOW_OPEN=true.
#
# Pin the base by digest where builds must be the same: --build-arg PYTHON=docker.io/library/python@sha256:...
ARG PYTHON=docker.io/library/python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /build
COPY requirements/uv.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/uv.txt
COPY requirements/run.txt requirements/build.txt requirements/
# Milvus Lite is for one machine alone, and pandas is what pymilvus imports and vidrec puts a stand-in for (ADR 7). Tests of
# packages are a tenth of all.
RUN uv venv /opt/vidrec \
 && uv pip sync --no-cache --python /opt/vidrec/bin/python --require-hashes requirements/run.txt \
 && uv pip uninstall --python /opt/vidrec/bin/python milvus-lite faiss-cpu pandas \
 && find /opt/vidrec/lib -type d \( -name tests -o -path '*/onnx/backend/test' -o -path '*/pyarrow/include' \) -prune -exec rm -rf {} +
COPY pyproject.toml README.md LICENSE ./
COPY src src
# Compiled here: at run time nothing can be written beside the code.
RUN uv pip install --no-cache --python /opt/vidrec/bin/python --no-deps --build-constraints requirements/build.txt . \
 && /opt/vidrec/bin/python -m compileall -q /opt/vidrec/lib \
 && install -d -m 2775 -o 10001 -g 0 /made/data

FROM ${PYTHON}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="vidrec" \
      org.opencontainers.image.description="Content-based video recommender: API, workers, migrations" \
      org.opencontainers.image.source="https://github.com/vidrec/vidrec" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/vidrec /opt/vidrec
# Copied with what it lies in, so that it keeps its mode.
COPY --from=build /made/ /
ENV PATH=/opt/vidrec/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp \
    VIDREC_DATA_DIR=/data VIDREC_AUTH=keys
# A number, so that Kubernetes can see that it is not root; group 0, so that any other number may write to /data too.
USER 10001:0
WORKDIR /tmp
VOLUME /data
EXPOSE 3000
ENTRYPOINT ["vidrec"]
CMD ["api", "--host", "0.0.0.0", "--port", "3000"]
