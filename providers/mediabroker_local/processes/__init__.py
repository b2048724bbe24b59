"""The processes of this provider: supervisor, worker and leash."""
