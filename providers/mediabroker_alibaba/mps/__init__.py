"""ApsaraVideo Media Processing (MPS): the provider and its requests."""
