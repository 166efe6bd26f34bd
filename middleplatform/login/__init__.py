"""People come in: OpenID Connect beside service tokens, sessions, limits of rate, lock-out."""
