"""What runs in the account: Lambda handlers, thin over the code that the providers use too."""
