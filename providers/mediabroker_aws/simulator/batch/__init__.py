"""AWS Batch on loopback."""
