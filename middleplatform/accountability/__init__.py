"""Accountable after: who got what, reports of decisions, tickets, figures of conduct, the page for the public."""
