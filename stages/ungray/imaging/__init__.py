"""Photos as numbers: color, reading and writing, bringing color up to full size, likeness, metrics.

``metrics`` and ``duplicates`` need the extra ``workflow``; everything else comes with ungray.
"""
