"""A page in the browser for `match`, `style match` and `inspect`. It runs the commands, each in a process of its own."""
