"""What all compiled plug-ins share."""
