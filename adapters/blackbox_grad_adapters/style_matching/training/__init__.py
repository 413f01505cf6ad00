"""How encoder and controller are trained."""
