# cytobatch as a container: the program with the packages of the hash-pinned lock, run as a user of its own. The root file
# system may be read-only: the program writes to /scratch.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
# With its digest (`--build-arg BASE_DIGEST=sha256:…`) the base is one image for good; a tag gets new fixes.
ARG BASE_DIGEST

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}} AS build
# `--build-arg LOCK=anndata.lock` makes an image that writes AnnData too.
ARG LOCK=runtime.lock
WORKDIR /build
# The builder chooses the package index. `make image` passes it as secrets, which stay in no layer; without them it is PyPI.
ENV PIP_CONFIG_FILE=/run/secrets/pip.conf \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
COPY requirements/build.lock requirements/${LOCK} requirements/
# Python does not compare this bytecode with its source, because the source never changes in an image. The packages' own
# tests and C headers are removed: they are a tenth of the size. A module with the syntax of a later Python is not compiled.
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.crt \
    python -m venv /opt/build \
 && /opt/build/bin/python -m pip install --quiet --require-hashes -r requirements/build.lock \
 && python -m venv --without-pip /opt/cytobatch \
 && /opt/build/bin/python -m pip --python /opt/cytobatch/bin/python install --quiet --no-compile --require-hashes -r requirements/${LOCK} \
 && find /opt/cytobatch/lib -depth -type d \( -name tests -o -path '*/pyarrow/include' \) -exec rm -rf {} + \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '_typing_31[2-9]\.py$' /opt/cytobatch/lib
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/build/bin/hatchling build -t wheel \
 && /opt/build/bin/python -m pip --python /opt/cytobatch/bin/python install --quiet --no-index --no-compile --no-deps dist/*.whl \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/cytobatch/lib/python3*/site-packages/cytobatch \
 && /opt/cytobatch/bin/python -c 'from cytobatch.report.page_template import page_template as compiled; compiled("plate_page"); compiled("batch_page")'
# What the image holds of Python, as CycloneDX. The program that lists it stays in this stage.
COPY requirements/audit.lock requirements/
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.crt \
    python -m venv /opt/audit \
 && /opt/audit/bin/python -m pip install --quiet --require-hashes -r requirements/audit.lock \
 && /opt/audit/bin/cyclonedx-py environment --output-reproducible \
      --output-file /opt/cytobatch/sbom.cdx.json /opt/cytobatch/bin/python

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}}
# The base image has pip, which is not used here, and no bytecode of Python's library. On a read-only file system every
# start would compile that library again.
# Debian's own pip lies in other folders than the official image's.
RUN rm -rf /usr/local/bin/pip* /usr/local/bin/wheel /usr/local/lib/python3*/site-packages/* \
      /usr/local/lib/python3*/ensurepip /usr/lib/python3*/ensurepip /usr/share/python-wheels \
      /usr/bin/pip* /usr/bin/wheel /usr/lib/python3/dist-packages/pip* /usr/lib/python3/dist-packages/wheel* \
      /usr/lib/python3/dist-packages/setuptools* /usr/lib/python3/dist-packages/pkg_resources* \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/(idlelib|lib2to3|test|tkinter|turtledemo)/' \
      "$(python -c 'import os; print(os.path.dirname(os.__file__))')" \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /scratch --shell /usr/sbin/nologin cytobatch \
 && install -d -o cytobatch -g cytobatch /scratch
COPY --from=build /opt/cytobatch /opt/cytobatch
# An empty volume, such as AWS Fargate's, takes its owner from this folder; so the folder is made before.
VOLUME ["/scratch"]
# The user is a number, because an orchestrator can compare a number with root's.
USER 10001
WORKDIR /scratch
ENV PATH=/opt/cytobatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/scratch \
    TMPDIR=/scratch
ENTRYPOINT ["cytobatch"]
CMD ["run"]
# One argument a line: older versions of buildah accept no more.
ARG BASE
ARG BASE_DIGEST
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="cytobatch" \
      org.opencontainers.image.description="A plate of single-cell measurements in, one joined and verified Parquet profile out" \
      org.opencontainers.image.licenses="BSD-3-Clause" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
