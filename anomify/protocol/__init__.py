"""Pure decoders of ingestion protocols, one file each: bytes in, batches out."""
