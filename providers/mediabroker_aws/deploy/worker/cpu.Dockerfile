# The super-resolution worker for machines without an accelerator.
#
#     pip wheel --no-deps --wheel-dir . mediabroker        # a wheel of this release, beside this folder
#     docker build --platform linux/amd64 --provenance=false -f worker/cpu.Dockerfile -t … .
ARG PYTHON_IMAGE=python:3.12-slim-bookworm
FROM ${PYTHON_IMAGE}

COPY mediabroker-*.whl /tmp/
RUN pip install --no-cache-dir "$(ls /tmp/mediabroker-*.whl)[local,aws]" && rm /tmp/mediabroker-*.whl

ENV MEDIABROKER_RUNTIME=onnx \
    MEDIABROKER_SCRATCH=/scratch \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

RUN useradd --system --uid 10001 --no-create-home worker && mkdir -m 0700 /scratch && chown worker /scratch
USER worker
WORKDIR /scratch

# No shell in between: SIGTERM must reach the worker.
ENTRYPOINT ["python", "-m", "neuron_worker"]
CMD ["work"]
