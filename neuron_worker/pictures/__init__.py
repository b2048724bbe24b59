"""Upscaling of still pictures."""
