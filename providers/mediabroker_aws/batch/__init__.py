"""AWS Batch: the provider and its requests."""
