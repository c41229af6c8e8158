use proptest::prelude::*;

use super::*;

#[test]
fn rates_as_typed() {
    let cases = [
        ("50k", 50_000.0),
        ("1.5M", 1_500_000.0),
        ("0.066", 0.066),
        ("20k", 20_000.0),
        ("20 K/s", 20_000.0),
        ("2G", 2e9),
        (" 7 ", 7.0),
        (".5", 0.5),
    ];
    for (text, per_second) in cases {
        assert_eq!(text.parse::<Rate>().map(Rate::per_second), Ok(per_second), "{text}");
    }
}

#[test]
fn what_is_not_a_rate_is_named_in_the_error() {
    for text in ["", "0", "-1", "1e3", "inf", "NaN", "k", "5m", "1.2.3", "10 bananas", "0k", "max"] {
        let error = text.parse::<Rate>().expect_err(text);
        assert_eq!(error, UnitError::Rate(text.to_owned()));
        assert!(error.to_string().starts_with(&format!("`{text}` is not a rate")), "{error}");
    }
}

#[test]
fn rates_print_in_the_scale_that_fits() {
    for (per_second, text) in
        [(20_000.0, "20k"), (1.5e6, "1.5M"), (0.066, "0.066"), (1234.0, "1.234k"), (3e9, "3G")]
    {
        assert_eq!(Rate(per_second).to_string(), text);
    }
    assert_eq!(Rate(123_456.7).to_string(), "123456.7");
}

#[test]
fn counts_as_typed() {
    for (text, count) in [
        ("0", 0),
        ("7", 7),
        ("200k", 200_000),
        ("1.5M", 1_500_000),
        ("0.001k", 1),
        ("20 K", 20_000),
        ("2G", 2_000_000_000),
        (" 12 ", 12),
    ] {
        assert_eq!(text.parse::<Count>().map(Count::get), Ok(count), "{text}");
    }
    for text in ["", "k", "-1", "+1", "1.5", "1.2345k", "1e3", "5m", "10%", "ten", "99999999999G"] {
        assert_eq!(text.parse::<Count>(), Err(UnitError::Count(text.to_owned())));
    }
    for (count, text) in
        [(0, "0"), (1234, "1234"), (200_000, "200k"), (1_500_000, "1500k"), (3_000_000_000, "3G")]
    {
        assert_eq!(Count::new(count).to_string(), text);
        assert_eq!(text.parse(), Ok(Count::new(count)));
    }
}

#[test]
fn sizes_as_typed() {
    let cases = [
        ("100", 100),
        ("100B", 100),
        ("4KiB", 4096),
        ("4 kib", 4096),
        ("1MB", 1_000_000),
        ("1MiB", 1 << 20),
        ("1.5KiB", 1536),
        ("0.1kB", 100),
        ("2GiB", 2 << 30),
        ("0", 0),
    ];
    for (text, bytes) in cases {
        assert_eq!(text.parse::<Size>().map(Size::bytes), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_not_a_size_is_named_in_the_error() {
    for text in ["", "B", "-1", "1.5", "0.3KiB", "10 bananas", "1e3", "99999999999GiB", "4Kib4", "."] {
        assert_eq!(text.parse::<Size>(), Err(UnitError::Size(text.to_owned())));
    }
    let error = "4k".parse::<Size>().expect_err("ambiguous").to_string();
    assert_eq!(error, "`4k` is ambiguous: say `4kB` (1000 bytes each) or `4KiB` (1024 bytes each)");
}

#[test]
fn sizes_print_in_the_unit_that_loses_nothing() {
    for (bytes, text) in [(100, "100 B"), (4096, "4 KiB"), (1_000_000, "1 MB"), (1536, "1536 B"), (0, "0 B")]
    {
        assert_eq!(Size(bytes).to_string(), text);
    }
}

#[test]
fn spans_as_typed() {
    let cases = [
        ("10", 10_000_000_000),
        ("0.5", 500_000_000),
        ("0", 0),
        ("1.5s", 1_500_000_000),
        ("250ms", 250_000_000),
        ("2m 30s", 150_000_000_000),
        ("1h", 3_600_000_000_000),
        ("12us", 12_000),
        ("7ns", 7),
    ];
    for (text, nanos) in cases {
        assert_eq!(text.parse::<Span>().map(Span::nanos), Ok(nanos), "{text}");
    }
}

#[test]
fn what_is_not_a_span_is_named_in_the_error() {
    for text in ["", "-1s", "ten", "10 bananas", "1e3", "0.5ns", "1.2.3", "999999y"] {
        let error = text.parse::<Span>().expect_err(text);
        assert!(error.to_string().starts_with(&format!("`{text}` is not a span of time")), "{error}");
    }
}

#[test]
fn spans_print_in_the_unit_that_fits() {
    let cases =
        [(0, "0s"), (7, "7ns"), (1_500, "1.5us"), (250_000_000, "250ms"), (1_000_000_001, "1.000000001s")];
    for (nanos, text) in cases {
        assert_eq!(Span(nanos).to_string(), text);
    }
    assert_eq!(Span(150_000_000_000).to_string(), "2m 30s");
    assert_eq!(format!("[{:>6}]", Span(10_000_000_000)), "[   10s]");
}

#[test]
fn latencies_have_three_significant_digits() {
    let cases = [
        (0, "0 ns"),
        (850, "850 ns"),
        (999, "999 ns"),
        (1_000, "1.00 us"),
        (12_345, "12.3 us"),
        (999_499, "999 us"),
        (999_500, "1.00 ms"),
        (1_240_000, "1.24 ms"),
        (3_020_000_000, "3.02 s"),
        (3_600_000_000_000, "3600 s"),
        (9_994, "9.99 us"),
        (9_996, "10.0 us"),
        (99_960, "100 us"),
    ];
    for (nanos, text) in cases {
        assert_eq!(latency(nanos), text, "{nanos}");
    }
}

#[test]
fn rates_bytes_and_counts_for_reading() {
    for (per_second, text) in [
        (20_000.0, "20.0 k/s"),
        (0.066, "0.0660 /s"),
        (0.0, "0 /s"),
        (999.6, "1.00 k/s"),
        (1.5e6, "1.50 M/s"),
    ] {
        assert_eq!(rate(per_second), text);
    }
    let sizes =
        [(219, "219 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_258_291, "1.2 MiB"), (1_048_575, "1.0 MiB")];
    for (size, text) in sizes {
        assert_eq!(bytes(size), text);
    }
    for (number, text) in
        [(0, "0"), (999, "999"), (1_000, "1,000"), (9_999_999, "9,999,999"), (12_345_678, "12.3 M")]
    {
        assert_eq!(count(number), text);
    }
    assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
}

proptest! {
    #[test]
    fn a_rate_survives_its_text(
        per_second in prop_oneof![1e-9..1e12f64, (1..1u32 << 24).prop_map(f64::from)],
    ) {
        let rate = Rate(per_second);
        prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
    }

    #[test]
    fn a_size_survives_its_text(bytes in any::<u64>(), zeros in 0..64u32, scale in 0..4u32) {
        let size = Size((bytes >> zeros).saturating_mul(1000u64.pow(scale)));
        prop_assert_eq!(size.to_string().parse::<Size>(), Ok(size));
    }

    #[test]
    fn a_span_survives_its_text(nanos in any::<u64>(), zeros in 0..64u32, scale in 0..4u32) {
        let span = Span((nanos >> zeros).saturating_mul(1000u64.pow(scale)));
        prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
    }

    #[test]
    fn a_latency_fits_seven_columns_and_is_right_to_half_a_percent(nanos in 1..3_600_000_000_000u64) {
        let text = latency(nanos);
        prop_assert!(text.len() <= 7, "{}", text);
        let shown = text.replace(' ', "").parse::<Span>().expect("readable").nanos() as f64;
        prop_assert!((shown / nanos as f64 - 1.0).abs() <= 0.005_001, "{} for {}", text, nanos);
    }

    #[test]
    fn what_is_typed_is_a_sound_value_or_an_error_naming_it(text in "[0-9.kKMGiBms /-]{0,8}|\\PC{0,12}") {
        match text.parse::<Rate>() {
            Ok(rate) => prop_assert!(rate.per_second() > 0.0 && rate.per_second().is_finite()),
            Err(error) => prop_assert!(error.to_string().contains(&text)),
        }
        if let Err(error) = text.parse::<Size>() {
            prop_assert!(error.to_string().contains(&text));
        }
        if let Err(error) = text.parse::<Span>() {
            prop_assert!(error.to_string().contains(&text));
        }
    }
}

#[test]
fn series_are_told_in_the_unit_of_their_name() {
    for (name, value, text) in [
        ("process_cpu_seconds_total", 0.000_042, "42.0 us"),
        ("process_cpu_seconds_total{a=\"_bytes\"}", 1.5, "1.50 s"),
        ("process_resident_memory_bytes", 3_145_728.0, "3.0 MiB"),
        ("emqx_messages_dropped", 1_234_567.0, "1,234,567"),
        ("$SYS/broker/load", 1_234.56, "1.23 k"),
        ("ratio", 0.25, "0.250"),
        ("ratio", 0.0, "0"),
        ("temperature", -3.5, "-3.5"),
    ] {
        assert_eq!(metric(name, value), text, "{name} {value}");
    }
}

#[test]
fn what_is_left_is_told_in_whole_seconds() {
    let second = 1_000_000_000;
    let texts = [0, 1, 59 * second, 65 * second, 3725 * second].map(left);
    assert_eq!(texts, ["0s left", "1s left", "59s left", "1m 05s left", "1h 02m left"]);
    let took = Duration::from_secs(30);
    assert_eq!(outlook(took, 3, 12), ", about 1m 30s left");
    assert_eq!([outlook(took, 0, 12), outlook(took, 12, 12)], ["", ""], "nobody knows, and nothing is left");
}
