"""How near the engine comes to its model's own rate, beside what scripts do: `python -m benchmarks.engine`."""

import neuron_worker  # noqa: F401  before onnxruntime, whose reports to its maker it switches off
