"""The super-resolution service: the provider that calls it over HTTP."""
