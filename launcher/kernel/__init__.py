"""One thin wrapper a kernel call: types, errno and object of the failure; no policy."""
