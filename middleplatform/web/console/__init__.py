"""The console in a browser: pages made on the server, over the same desks as commands and REST."""
