"""How good are gradients from few renders? A table of tasks on real plug-ins, and methods measured on all of them."""
