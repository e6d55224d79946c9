"""People at the rack: named accounts of the machine, second factors, the sealed account."""
