"""Where commands run: containers, this machine, or nowhere at all."""
