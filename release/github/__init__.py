"""GitHub's release API: one method for each request, no retries inside."""
