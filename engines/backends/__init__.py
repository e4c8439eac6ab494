"""The inference libraries, one module each; nothing outside this folder imports them."""
