"""Recipes: identities, receipts and the secure sum, over ``hazmat``, which nobody else imports."""
