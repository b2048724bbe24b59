"""Simple Message Queue (MNS): the event source and its client."""
