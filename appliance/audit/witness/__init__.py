"""The witness: a second machine that says, with the time, which logs only ever grew."""
