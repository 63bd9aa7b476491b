"""CycloneDX bills of materials, one for each bundle."""
