"""What an Alibaba Cloud account needs for this package."""
