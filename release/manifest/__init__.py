"""manifest.json: platform to variants to default, made from measured facts and read back strictly."""
