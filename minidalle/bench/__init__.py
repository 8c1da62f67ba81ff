"""How fast it all is, beside the machine's limits and the peers."""
