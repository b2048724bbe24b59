"""Alibaba Cloud on loopback, for tests and demonstrations: the vendor's own SDKs talk to it unchanged."""
