"""Object Storage Service (OSS): the object store and its client."""
