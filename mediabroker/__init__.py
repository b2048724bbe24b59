"""One typed API for media jobs on every vendor."""
