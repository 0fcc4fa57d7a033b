"""The manager: places tasks on the workers of other machines."""
