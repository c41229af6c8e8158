use proptest::prelude::*;

use super::*;

fn of(values: &[Nanos]) -> Histogram {
    let mut histogram = Histogram::default();
    values.iter().for_each(|value| histogram.record(*value));
    histogram
}

#[test]
fn an_unused_histogram_owns_nothing_and_answers_zero() {
    let mut empty = Histogram::default();
    assert!(empty.counts.is_none() && size_of::<Histogram>() == 16);
    assert_eq!(
        (empty.count(), empty.min(), empty.max(), empty.quantile(0.5), empty.overflow()),
        (0, 0, 0, 0, 0)
    );
    assert!(empty.is_empty() && empty.mean() == 0.0);
    let mut used = of(&[5]);
    used.clear();
    empty.merge(&used);
    assert!(empty.counts.is_none(), "merging nothing allocates nothing");
}

#[test]
fn clearing_forgets_and_keeps_the_memory() {
    let mut histogram = of(&[5, HIGHEST + 1]);
    histogram.clear();
    assert!(histogram.is_empty() && histogram.counts.is_some());
    assert_eq!(histogram, Histogram::default());
    histogram.record(7);
    assert_eq!(histogram, of(&[7]));
}

/// A hundred workers have a dozen kinds of time each.
#[test]
fn few_values_take_little_memory_and_counts_that_are_not_needed_go_back() {
    let values: Vec<Nanos> = (1..=FEW as Nanos).map(|value| value * 1000).collect();
    let owns_counts = |histogram: &Histogram| histogram.counts.as_ref().is_some_and(|one| one.all.is_some());
    let mut histogram = of(&values);
    assert!(!owns_counts(&histogram) && histogram.count() == FEW as u64);
    histogram.record(7);
    assert!(owns_counts(&histogram) && histogram.count() == FEW as u64 + 1);
    let few = of(&values);
    assert_eq!((few.min(), few.max()), (of(&[1000]).quantile(0.0), histogram.max()));
    // As busy as before: nothing is allocated again.
    histogram.clear();
    assert!(owns_counts(&histogram) && histogram.is_empty());
    histogram.record(7);
    histogram.clear();
    assert!(!owns_counts(&histogram));
}

#[test]
fn zero_is_counted_in_the_lowest_bucket() {
    let histogram = of(&[0, 0, 1_000]);
    assert_eq!((histogram.count(), histogram.min(), histogram.overflow()), (3, 0, 0));
    assert!(histogram.quantile(0.5) <= 1);
}

#[test]
fn above_an_hour_is_counted_as_an_hour_and_never_silently() {
    let mut histogram = of(&[HIGHEST, HIGHEST + 1, u64::MAX]);
    assert_eq!((histogram.count(), histogram.overflow()), (3, 2));
    assert_eq!(histogram.max(), histogram.quantile(1.0));
    assert!(histogram.max().abs_diff(HIGHEST) <= HIGHEST / 1000);
    histogram.merge(&of(&[u64::MAX]));
    assert_eq!((histogram.count(), histogram.overflow()), (4, 3));
}

#[test]
fn quantiles_are_those_of_the_samples() {
    let histogram = of(&(1..=1_000).map(|at| at * 1_000).collect::<Vec<_>>());
    for (quantile, exact) in [(0.5, 500_000.0), (0.9, 900_000.0), (0.99, 990_000.0), (1.0, 1_000_000.0)] {
        let shown = histogram.quantile(quantile) as f64;
        assert!((shown / exact - 1.0).abs() <= 0.001, "{quantile}: {shown}");
    }
    assert!((histogram.mean() / 500_500.0 - 1.0).abs() <= 0.001);
    assert_eq!(histogram.supported_quantile(0.99), Some(histogram.quantile(0.99)));
    assert_eq!(histogram.supported_quantile(0.999), None);
}

/// R9: right to three digits of a million samples, in all orders of magnitude, and what is beyond is counted as such.
#[test]
fn r09_percentiles_are_those_of_an_exact_sort_and_nothing_is_clipped_silently() {
    let mut draw = crate::seed::stream(7, "samples", 0);
    let mut samples: Vec<Nanos> =
        (0..1_000_000).map(|_| 1_000 + (draw.bits() >> 23 >> draw.below(30))).collect();
    let mut histogram = of(&samples);
    samples.sort_unstable();
    for quantile in [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0] {
        let rank = (samples.len() as f64 * quantile).ceil() as usize;
        let (exact, shown) = (samples[rank - 1] as f64, histogram.quantile(quantile) as f64);
        assert!((shown / exact - 1.0).abs() <= 0.001, "{quantile}: {shown} of {exact}");
    }
    assert_eq!((histogram.count(), histogram.overflow()), (1_000_000, 0));
    histogram.record(HIGHEST + 1);
    assert_eq!((histogram.count(), histogram.overflow()), (1_000_001, 1));
}

/// R11: a percentile without enough beyond it is none.
#[test]
fn r11_a_percentile_needs_six_samples_beyond_it() {
    for (quantile, enough) in [(0.5, 12), (0.9, 60), (0.99, 600), (0.999, 6_000), (0.9999, 60_000)] {
        assert!(supported(enough, quantile), "{enough} at {quantile}");
        assert!(!supported(enough - 1, quantile), "{} at {quantile}", enough - 1);
    }
    assert!(!supported(0, 0.0) && !supported(u64::MAX, 1.0));
}

#[test]
fn text_that_is_no_histogram_is_an_error() {
    assert!(matches!(Histogram::from_base64_v2("*", 0), Err(HistogramError::Base64(_))));
    assert!(matches!(Histogram::from_base64_v2("", 0), Err(HistogramError::Format(_))));
    assert!(matches!(Histogram::from_base64_v2("AAAAAAAA", 0), Err(HistogramError::Format(_))));
    let mut wide = hdrhistogram::Histogram::<u64>::new(3).expect("digits");
    wide.record(10 * HIGHEST).expect("resizes");
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(&wide, &mut bytes).expect("a Vec");
    let error = Histogram::from_base64_v2(&BASE64.encode(bytes), 0);
    assert!(matches!(error, Err(HistogramError::Range { .. })), "{error:?}");
}

#[test]
fn a_histogram_of_other_bounds_merges_when_it_fits() {
    let mut narrow = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1_000_000, 3).expect("bounds");
    narrow.record_n(500, 9).expect("in range");
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(&narrow, &mut bytes).expect("a Vec");
    let mut read = Histogram::from_base64_v2(&BASE64.encode(bytes), 2).expect("HDR V2");
    read.merge(&of(&[500]));
    assert_eq!((read.count(), read.quantile(0.5), read.overflow()), (10, 500, 2));
}

#[test]
fn the_encoding_is_hdr_v2_as_other_tools_write_it() {
    // cookie 0x1c849313, then lengths and bounds as big-endian integers (HdrHistogram's V2 layout)
    let bytes = BASE64.decode(of(&[1]).to_base64_v2()).expect("base64");
    assert_eq!(bytes[..4], [0x1c, 0x84, 0x93, 0x13]);
    assert_eq!(bytes[12..16], [0, 0, 0, 3]);
    assert_eq!(bytes[16..24], 1u64.to_be_bytes());
    assert_eq!(bytes[24..32], HIGHEST.to_be_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn merging_equals_recording_everything_in_one(a in samples(), b in samples()) {
        let mut merged = of(&a);
        merged.merge(&of(&b));
        prop_assert_eq!(merged, of(&[a, b].concat()));
    }

    #[test]
    fn what_was_merged_cleared_or_read_merges_again(a in samples(), b in samples(), c in samples()) {
        let read = Histogram::from_base64_v2(&of(&a).to_base64_v2(), of(&a).overflow()).expect("written");
        let mut used = of(&c);
        used.clear();
        for histogram in [&read, &of(&b), &of(&c)] {
            used.merge(histogram);
        }
        let mut merged = of(&c);
        merged.merge(&used);
        prop_assert_eq!(merged, of(&[&c[..], &a, &b, &c].concat()));
    }

    #[test]
    fn a_histogram_survives_its_text(values in samples()) {
        let histogram = of(&values);
        let read = Histogram::from_base64_v2(&histogram.to_base64_v2(), histogram.overflow());
        prop_assert_eq!(read.expect("what was written"), histogram);
    }
}

fn samples() -> impl Strategy<Value = Vec<Nanos>> {
    // Fewer than are remembered, and more.
    prop::collection::vec((0..50u32, any::<u64>()).prop_map(|(zeros, bits)| bits >> zeros), 0..FEW + FEW / 2)
}
