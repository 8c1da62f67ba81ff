"""Skip on first reading: fast twins of what the chapters say plainly, and many processes."""
