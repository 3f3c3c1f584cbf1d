"""The keys of chunks: a metric and a bucket of four hours in one 64-bit number."""

import numpy as np

from anomify.series import Int64s, Points

# Four hours to a chunk: a day is read from six blobs, and rewriting one every fifteen minutes while
# it grows stays cheap (benchmarks/reading.py; two hours read a third slower, six seal slower).
BUCKET_MS = 4 * 3600 * 1000

# A key is the metric and, in its low bits, the bucket: the chunks of one metric lie side by side,
# and the times of 240 years around 1970 fit.
KEY_BUCKET_BITS = 21
_BUCKETS = 1 << KEY_BUCKET_BITS
# What is added to a bucket, which is negative before 1970, in a key.
BUCKET_ZERO = _BUCKETS // 2
OLDEST_MS = -BUCKET_ZERO * BUCKET_MS
NEWEST_MS = BUCKET_ZERO * BUCKET_MS - 1
MOST_METRIC_ID = (1 << (63 - KEY_BUCKET_BITS)) - 1


def bucket_of(ms: int) -> int:
    """Return the number of the bucket of four hours that contains this time."""
    return ms // BUCKET_MS


def buckets_of(times: Int64s) -> Int64s:
    """Return the bucket of each time, int64 (n,)."""
    return times // BUCKET_MS


def chunk_keys(points: Points) -> Int64s:
    """Return the key of the chunk of each point, int64 (n,)."""
    return (points.metric_ids << KEY_BUCKET_BITS) | (buckets_of(points.times) + BUCKET_ZERO)


def key_of(metric_id: int, bucket: int) -> int:
    """Return the key of one chunk."""
    return (metric_id << KEY_BUCKET_BITS) | (bucket + BUCKET_ZERO)


def keys_of(metric_id: int, buckets: Int64s) -> Int64s:
    """Return the keys of a metric's chunks of these buckets."""
    return (buckets + BUCKET_ZERO) | (metric_id << KEY_BUCKET_BITS)


def metric_of_key(key: int) -> int:
    """Return the metric of a key."""
    return key >> KEY_BUCKET_BITS


def bucket_of_key(key: int) -> int:
    """Return the bucket of a key."""
    return (key & (_BUCKETS - 1)) - BUCKET_ZERO


def buckets_of_keys(keys: Int64s) -> Int64s:
    """Return the bucket of each key."""
    return (keys & (_BUCKETS - 1)) - BUCKET_ZERO


def describe_key(key: int) -> str:
    """Return the metric and the time of a chunk as text for people."""
    since = np.datetime64(bucket_of_key(key) * BUCKET_MS, "ms").astype("datetime64[m]")
    return f"the chunk of metric {metric_of_key(key)} from {since}Z"
