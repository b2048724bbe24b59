"""The super-resolution service, as it runs in Lambda."""
