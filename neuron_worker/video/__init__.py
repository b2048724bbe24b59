"""Upscaling of video: plan, slices, merge."""
