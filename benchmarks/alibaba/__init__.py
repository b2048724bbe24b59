"""What this package costs beside the vendor's own SDKs, over the simulated cloud."""
