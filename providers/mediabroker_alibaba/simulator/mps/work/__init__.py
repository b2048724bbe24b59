"""The media work behind simulated MPS jobs."""
