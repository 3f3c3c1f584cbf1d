"""Pure decoders of what senders put on the wire, one file per protocol; values in, values out."""
