"""Who is who: keys, certificates, the signed roster of parties, and the trust that running processes read from it."""
