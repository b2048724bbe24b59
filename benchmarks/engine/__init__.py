"""How near the engine comes to its model's own rate, beside what scripts do: `python -m benchmarks.engine`."""
