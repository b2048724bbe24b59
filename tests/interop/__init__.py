"""Clients that nobody here wrote, against the simulated Alibaba Cloud: `make interop`."""
