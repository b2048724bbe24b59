"""The super-resolution engine, and the container worker that runs it."""

import os

# onnxruntime reports to its maker unless this is set before it is imported; its own switch comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
