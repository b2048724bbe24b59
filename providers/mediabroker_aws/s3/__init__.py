"""Amazon S3: the object store."""
