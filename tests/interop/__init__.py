"""The simulated Alibaba Cloud against clients that nobody here wrote: `make interop`."""
