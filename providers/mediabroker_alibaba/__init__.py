"""Alibaba Cloud: media processing (MPS), object storage (OSS), queues (MNS)."""
