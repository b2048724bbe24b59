"""The transcoding service, as it runs in Lambda."""
