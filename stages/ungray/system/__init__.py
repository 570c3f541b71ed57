"""The operating system: files, the terminal, and the cores and memory that this process may use."""
