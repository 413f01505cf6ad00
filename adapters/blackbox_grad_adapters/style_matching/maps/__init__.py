"""The latent space, as figures and as a page to play with."""
