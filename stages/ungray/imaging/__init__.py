"""Photos as arrays: color, reading and writing, upsampling, duplicates, metrics.

``metrics`` and ``duplicates`` need the extra ``workflow``; everything else comes with ungray.
"""
