"""What was released and asked before."""
