"""What a careful user does, on a folder or on a published tag."""
