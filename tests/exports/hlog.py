"""Sums an interval log by its tags, as PyPI's hdrhistogram reads it: tag, count, median and maximum of each."""
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

HIGHEST = 3_600_000_000_000
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, HIGHEST, 3))
sums = {}
while (histogram := reader.get_next_interval_histogram()) is not None:
    sums.setdefault(histogram.get_tag(), HdrHistogram(1, HIGHEST, 3)).add(histogram)
for tag, histogram in sums.items():
    print(tag, histogram.get_total_count(), histogram.get_value_at_percentile(50), histogram.get_max_value())
