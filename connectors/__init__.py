"""How the platform reads a department: a small SPI, one module a source."""
