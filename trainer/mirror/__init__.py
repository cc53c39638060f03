"""Runs that have an address: kept in a directory here and as a mirror in a bucket.

    with mirrored('gs://bucket/run', stop) as directory: ...  # to train
    directory = fetched('gs://bucket/run', 'best')            # to read

A run needs appends, renames, locks and fsync, which no bucket has: it lives on a disk,
and what is whole is published, named by an index that is written last.
"""

from trainer.mirror.fetching import ALL, BEST, LAST
from trainer.mirror.keeping import mirrored
from trainer.mirror.sides import fetched, give_back, known_as

__all__ = ['ALL', 'BEST', 'LAST', 'fetched', 'give_back', 'known_as', 'mirrored']
