"""Bundles: what enters a site. Built on a connected machine, carried, proved on arrival."""
