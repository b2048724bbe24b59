"""What the cloud's way costs beside the direct one, on the simulators: `python -m benchmarks.aws`."""
