# cytobatch as a container: the program from the hash-pinned lock, run as a user of its own, on any S3.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
# `--build-arg LOCK=anndata.lock` makes an image that writes AnnData too.
ARG LOCK=runtime.lock
WORKDIR /build
RUN python -m venv /opt/cytobatch
COPY requirements/build.lock requirements/${LOCK} requirements/
RUN /opt/cytobatch/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/${LOCK} \
 && python -m venv /opt/build \
 && /opt/build/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/build/bin/hatchling build -t wheel \
 && /opt/cytobatch/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps dist/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="cytobatch" \
      org.opencontainers.image.description="A plate of single-cell measurements in, one joined and verified Parquet profile out" \
      org.opencontainers.image.licenses="BSD-3-Clause"
COPY --from=build /opt/cytobatch /opt/cytobatch
RUN useradd --create-home --uid 10001 cytobatch && install -d -o cytobatch /scratch
USER cytobatch
WORKDIR /scratch
ENV PATH=/opt/cytobatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/scratch
ENTRYPOINT ["cytobatch"]
CMD ["run"]
