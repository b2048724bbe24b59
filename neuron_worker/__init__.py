"""The super-resolution engine, and the container worker that runs it.

Nothing in it talks to the makers of its libraries. Both switches work only before the library is first imported, so
they are thrown here, which every module of the engine passes first.
"""

import os
import sys
from types import ModuleType
from typing import cast

# onnxruntime looks up a telemetry host and writes a device id below the user's cache folder; its own
# `disable_telemetry_events` comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# OpenVINO reports each import and writes an id into the home folder, without asking. It has a stub for machines that
# lack the package which does that; None stands for such a machine.
sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))
