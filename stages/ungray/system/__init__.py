"""Between ungray and the operating system: files, the terminal, and the cores and memory that may be used."""
