"""From a sealed folder to a published release: preflight, draft, uploads, barrier, publication."""
