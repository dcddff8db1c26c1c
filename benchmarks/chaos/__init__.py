"""A cluster of real processes on this machine, ways to break it, and what it is compared with."""
