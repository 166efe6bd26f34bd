"""What crosses between gateway and nodes, as bytes: calls and replies, and the errors that they carry."""
