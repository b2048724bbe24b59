"""The trained network, its merged branches and its exported graphs."""
