"""Code for all compiled plug-ins."""
