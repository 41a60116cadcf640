"""A MODEL TO THE BROWSER: the page, its answers, and the limits of a server on the loopback."""
