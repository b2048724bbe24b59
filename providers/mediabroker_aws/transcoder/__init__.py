"""The Lambda transcoder: the provider that invokes it."""
