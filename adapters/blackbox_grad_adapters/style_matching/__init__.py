"""Style matching: a network hears two recordings and sets an effect so that one sounds like the other.

The reference application of `blackbox_grad`. `blackbox-grad style --help` lists its commands.
"""
