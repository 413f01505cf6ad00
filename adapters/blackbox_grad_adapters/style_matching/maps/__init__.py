"""The latent space, drawn and to be played with."""
