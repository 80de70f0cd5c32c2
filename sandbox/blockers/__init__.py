"""Blockers: what stops an agent, found on the page and in the browser's own signals, with how sure we are.

`facts` says what is looked at, `words` what is found, `rules` holds what we know as data, `detect` decides. Pure, but
for `scan.js`, which reads a document's facts inside Baton's isolated world.
"""
