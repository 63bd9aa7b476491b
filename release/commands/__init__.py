"""The commands: each opens its session, calls the parts in order, and says what happened."""
