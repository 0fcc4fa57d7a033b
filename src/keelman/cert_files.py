"""A folder of certificates and keys."""
