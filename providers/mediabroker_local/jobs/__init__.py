"""One job as a folder, and the spool of all jobs."""
