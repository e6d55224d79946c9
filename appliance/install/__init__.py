"""Installation as the field engineer lives it: phases, journal, code to dictate, report."""
